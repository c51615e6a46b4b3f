"""The lightning module: the loss, the degradation loss, the rate, the validation scores.

Loss: mean |Z^T - Z| (eq. 11 of Wang et al. 2021 as its text means it; DBIN's too), mean (Z^T - Z)^2 (DHSIS) or RAP
(HAM-MFN), at every level that the network estimates, there against means over blocks of the truth,
plus lambda_deg times, for each learnt degradation D, mean |D_spe(Z) - X| + mean |D_spa(Z) - Y| on the truth Z.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from hypersharp.networks.base import FusionNetwork
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.train.muon import MuonAdam
from hypersharp.train.options import TrainOptions
from hypersharp.train.patches import Items, RoundSampler, Sample, channels_last

ANGLE, LAPLACIAN = 0.1, 0.1  # weights in the RAP loss
LEAST_POWER = 1e-8


def rap_loss(estimate: Tensor, truth: Tensor) -> Tensor:
    """|Z^ - Z|^2 / |Z|^2 + 0.1 mean (1 - cos of the spectral angle) + 0.1 mean |Laplacian of Z^ - Z|, (B, L, H, W).

    Source: after Xu et al. 2020 (IEEE TGRS 58(7)), who name relative error, angle and Laplacian; the weights are ours.
    """
    gap = estimate - truth
    relative = gap.square().sum() / truth.square().sum().clamp(min=LEAST_POWER)
    angle = (1 - F.cosine_similarity(estimate, truth, dim=1, eps=1e-4)).mean()
    wide = F.pad(gap, (1,) * 4, mode="replicate")
    across, down = wide[..., 1:-1, 2:] + wide[..., 1:-1, :-2], wide[..., 2:, 1:-1] + wide[..., :-2, 1:-1]
    return relative + ANGLE * angle + LAPLACIAN * (across + down - 4 * gap).abs().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": F.l1_loss, "mse": F.mse_loss, "rap": rap_loss}


class FusionTraining(pl.LightningModule):
    """Trains `net`; logs `loss` each step, validation scores and `minutes` (those before a resume too) each round."""

    def __init__(self, net: FusionNetwork, options: TrainOptions, preset: str = "dian") -> None:
        super().__init__()
        self.net, self.train_options, self.preset = net, options, preset
        self.losses = torch.compile(self.compute_losses) if options.compile else self.compute_losses
        self.earlier_minutes, self.started = 0.0, time.monotonic()

    def minutes(self) -> float:
        return self.earlier_minutes + (time.monotonic() - self.started) / 60

    def on_fit_start(self) -> None:
        self.started = time.monotonic()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["minutes"] = self.minutes()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.earlier_minutes = checkpoint.get("minutes", 0.0)

    def training_step(self, batch: Sample, _: int) -> Tensor:
        fusion_loss, degradation_loss = self.losses(*batch)
        loss = fusion_loss + self.train_options.lambda_deg * degradation_loss
        self.log("loss", loss, prog_bar=True, sync_dist=True)
        self.log("fusion_loss", fusion_loss, sync_dist=True)
        return loss

    def compute_losses(
        self, hs: Tensor, ms: Tensor, truth: Tensor, start: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The two terms of the loss; the second is left out (zero) where it has no weight or no block."""
        loss_of, estimates = LOSSES[self.train_options.loss], self.net.at_levels(hs, ms, start)
        steps = [truth.shape[-1] // estimate.shape[-1] for estimate in estimates]
        losses = [loss_of(one.float(), F.avg_pool2d(truth, step)) for one, step in zip(estimates, steps, strict=True)]
        fusion_loss = torch.stack(losses).sum()
        pairs = self.net.degrade(truth) if self.train_options.lambda_deg else []
        if not pairs:
            return fusion_loss, torch.zeros_like(fusion_loss)
        losses = [F.l1_loss(ms_hat.float(), ms) + F.l1_loss(hs_hat.float(), hs) for ms_hat, hs_hat in pairs]
        return fusion_loss, torch.stack(losses).sum()

    def validation_step(self, batch: Sample, _: int) -> None:
        hs, ms, truth, *start = batch
        estimate = self.net(hs, ms, *start).float().clamp(0, 1)
        images = (image[0].cpu().numpy() for image in (estimate, truth))
        psnr_db, sam_deg = psnr_sam_ergas(*images, preset=self.preset)[:2]
        self.log("val_psnr_db", psnr_db, prog_bar=True, sync_dist=True, batch_size=1)
        self.log("val_sam_deg", sam_deg, sync_dist=True, batch_size=1)

    def on_validation_epoch_end(self) -> None:
        self.log("minutes", self.minutes(), sync_dist=True)

    def configure_optimizers(self) -> Any:
        o, parameters = self.train_options, self.net.parameters()
        muon = MuonAdam(parameters, o.learning_rate, o.kernel_rate) if o.kernel_rate else None
        optimiser = muon or torch.optim.Adam(parameters, o.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self.rate_fraction)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def rate_fraction(self, step: int) -> float:
        """Linear warm-up, then a cosine from 1 to `final_rate_fraction`."""
        o = self.train_options
        warmup = min(1.0, (step + 1) / max(1, o.warmup_steps))
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / o.steps)))
        return warmup * (o.final_rate_fraction + (1 - o.final_rate_fraction) * cosine)


class Loaders(pl.LightningDataModule):
    """The batches of this device, by rank and number of devices, which lightning knows late; validation on each.

    Without `batch` an item is a batch.
    """

    def __init__(self, items: Items, validation: DataLoader[Any], round_steps: int, batch: int | None = None) -> None:
        super().__init__()
        self.items, self.validation, self.round_steps, self.batch = items, validation, round_steps, batch

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        rank, devices = self.trainer.global_rank, self.trainer.world_size
        sampler = RoundSampler(self.round_steps, self.batch or devices, rank, devices)
        size, collate = (self.batch // devices, channels_last) if self.batch else (None, None)
        return DataLoader(self.items, size, sampler=sampler, collate_fn=collate)

    def val_dataloader(self) -> DataLoader[Any]:
        return self.validation
