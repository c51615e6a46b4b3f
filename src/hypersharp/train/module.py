"""The lightning module: the loss of SSJCN, its degradation loss, the rate, the validation scores.

Loss: mean |Z^T - Z| (eq. 11 of Wang et al. 2021 as its text means it) plus lambda_deg times, for each
degradation block D, mean |D_spe(Z) - X| + mean |D_spa(Z) - Y| on the truth Z.
"""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from hypersharp.metrics import score
from hypersharp.nets.ssjcn import SSJCN
from hypersharp.train.options import TrainOptions
from hypersharp.train.patches import Triple


class FusionTraining(pl.LightningModule):
    """Trains `net`; logs `loss` each step, `val_psnr_db` and `val_sam_deg` each round."""

    def __init__(self, net: SSJCN, options: TrainOptions, preset: str = "dian") -> None:
        super().__init__()
        self.net, self.train_options, self.preset = net, options, preset
        self.losses = torch.compile(self.compute_losses) if options.compile else self.compute_losses

    def training_step(self, batch: Triple, _: int) -> Tensor:
        fusion_loss, degradation_loss = self.losses(*batch)
        loss = fusion_loss + self.train_options.lambda_deg * degradation_loss
        self.log("loss", loss, prog_bar=True, sync_dist=True)
        self.log("fusion_loss", fusion_loss, sync_dist=True)
        return loss

    def compute_losses(self, hs: Tensor, ms: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """The two terms of the loss; the second is left out (zero) where it has no weight."""
        fusion_loss = mean_absolute(self.net(hs, ms), truth)
        if not self.train_options.lambda_deg:
            return fusion_loss, torch.zeros_like(fusion_loss)
        pairs = self.net.degrade(truth)
        losses = [mean_absolute(ms_hat, ms) + mean_absolute(hs_hat, hs) for ms_hat, hs_hat in pairs]
        return fusion_loss, torch.stack(losses).sum()

    def validation_step(self, batch: Triple, _: int) -> None:
        hs, ms, truth = batch
        estimate = self.net(hs, ms).float().clamp(0, 1)
        scores = score(
            estimate[0].cpu().numpy(),
            truth[0].cpu().numpy(),
            ratio=self.net.options.ratio,
            preset=self.preset,
        )
        self.log("val_psnr_db", scores.psnr_db, prog_bar=True, sync_dist=True, batch_size=1)
        self.log("val_sam_deg", scores.sam_deg, sync_dist=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        adam = torch.optim.Adam(self.net.parameters(), lr=self.train_options.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(adam, self.rate_fraction)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def rate_fraction(self, step: int) -> float:
        """Linear warm-up, then a cosine from 1 to `final_rate_fraction`."""
        o = self.train_options
        warmup = min(1.0, (step + 1) / max(1, o.warmup_steps))
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / o.steps)))
        return warmup * (o.final_rate_fraction + (1 - o.final_rate_fraction) * cosine)


def mean_absolute(estimate: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error in float32."""
    return (estimate.float() - truth.float()).abs().mean()
