"""NSSR: non-negative codes of few materials, each drawn to the mean of the pixels whose surroundings look alike.

Source: Dong, Fu, Shi, Cao, Wu, Li, Li 2016 (IEEE TIP 25(5)), "Hyperspectral image super-resolution via non-negative
structured sparse representation":

    min_A>=0 ||ms - R D A||^2 + ||hs - D A B||^2 + eta1 ||D A - U||^2 + eta2 ||A||_1,   Z = D A

U is what structure says of the scene. The paper takes the mean of clusters, the authors' program the non-local mean
U = Z N of the ten most similar pixels of the ms; this is the latter ("nlm"). D has K non-negative atoms that are
learned from hs alone, by sparse codes and atoms in turn (the paper's section III-A); N and the codes are found for any
part of a scene. ADMM splits off Z (a step per band, here in closed form whether kernels overlap or not) and S = A >= 0:

    A <- (D0'D0 + (eta1 + mu) D'D + mu I)^-1 (D0'ms + eta1 D'U + D'(mu Z - V1/2) + mu S + V2/2),   D0 = R D
    Z <- argmin ||hs - Z B||^2 + mu ||Z - D A - V1/2mu||^2;   S <- max(A - V2/2mu - eta2/2mu, 0)
    V1 <- V1 + mu (D A - Z);   V2 <- V2 + mu (S - A);   U <- Z N;   mu <- 1.1 mu

At last the program projects Z on what both images say, by turns, as if each hs pixel were a mean; here it is `agree`,
with the sensor's own blur. Everything runs on coefficients of the subspace of hs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypersharp.methods.base import Apply
from hypersharp.methods.detail import Agreement, Match, seen_alike
from hypersharp.numerics.linops import mix_bands
from hypersharp.numerics.loops import slices
from hypersharp.numerics.neighbours import Mean, similar_pixels
from hypersharp.numerics.signal import Subspace
from hypersharp.pair.options import Options, Progress, part_of
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair

ATOMS, SEED = 80, 0
LEARNING_ROUNDS, CODINGS, CODE_SPARSITY, CODE_MU, CODE_MU_GROWTH = 10, 100, 1e-3, 0.005, 1.07
ETA1, MU, MU_GROWTH = 0.015, 2e-4, 1.1
ETA2, ROUNDS = 4e-5, 40  # the authors: 6e-5 for a Gaussian blur, and 26; these are better on CAVE's training scenes
REACH_PX, ALIKE, GREYS, WIDTH = 18, 10, 255, 90  # of N: the window, pixels in a mean, and the width of its weights
PRIOR = 1e-4  # weight of the codes' own Z against both images, at last
STRIP_VALUES = 2**18  # of A at once on a CPU
LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Structure(Apply):
    """E'D (p, K) and R E (l, p), how ms comes to the level of hs, and the two images' agreement."""

    subspace: Subspace
    atoms: Tensor
    match: Match
    agreement: Agreement

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"{self.atoms.shape[1]} atoms, non-local means",)

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        coefficients, ms = self.subspace.coefficients(pair.hs), self.match(pair.ms.to(self.atoms))
        valid = None if pair.ms_valid is None else pair.ms_valid.to(ms.device)
        alike = similar_pixels(ms * GREYS, reach=REACH_PX, count=ALIKE, valid=valid).with_itself()
        progress(0.2)
        mean = Mean(alike.places, alike.weights(WIDTH))
        sharp = self.code(coefficients, ms, mean, part_of(progress, 0.2, 0.95))
        sharp = mix_bands(self.subspace.basis, self.agreement(sharp, coefficients, ms, weight=PRIOR))
        progress(1.0)
        return sharp

    def code(self, coefficients: Tensor, ms: Tensor, mean: Mean, progress: Progress) -> Tensor:
        """Z (p, H, W) of the coefficients of hs (p, h, w), ms (l, H, W) and the non-local mean, by ADMM."""
        atoms, seen = self.atoms, self.agreement.seen @ self.atoms
        pixels, shape_yx, count = ms.flatten(1), ms.shape[1:], ms[0].numel()
        explained, z, v1, structure = (atoms.new_zeros(len(atoms), count) for _ in range(4))
        s, v2 = (atoms.new_zeros(atoms.shape[1], count) for _ in range(2))
        gram, gram_seen = atoms.mT @ atoms, seen.mT @ seen
        eye, mu = torch.eye(len(gram)).to(gram), MU
        at_once = STRIP_VALUES // len(gram) if ms.device.type == "cpu" else count
        for number in range(1, ROUNDS + 1):
            inverse = torch.linalg.inv((gram_seen + (ETA1 + mu) * gram + mu * eye).double()).to(gram)
            from_ms, from_z = inverse @ seen.mT, inverse @ atoms.mT
            for some in slices(count, at_once):
                target = ETA1 * structure[:, some] + mu * z[:, some] - v1[:, some] / 2
                split = (mu * s[:, some]).add_(v2[:, some], alpha=0.5)
                a = (from_ms @ pixels[:, some]).addmm_(from_z, target).addmm_(inverse, split)
                explained[:, some] = atoms @ a
                torch.sub(a, v2[:, some], alpha=1 / (2 * mu), out=split)
                s[:, some] = split.sub_(ETA2 / (2 * mu)).clamp_(min=0)
                v2[:, some] += split.sub_(a).mul_(mu)
            z = (explained + v1 / (2 * mu)).view(-1, *shape_yx)
            z = self.agreement.with_hs(z, coefficients, weight=mu).flatten(1)
            v1 += mu * (explained - z)
            structure = mean(z.mT.contiguous()).mT.contiguous()
            mu *= MU_GROWTH
            progress(number / ROUNDS)
        return z.view(-1, *shape_yx)


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """The atoms of (L, h, w), and the levels of (l, H, W); psf and srf are estimated where not given."""
    inside, seen, levels = seen_alike(pair, sensor.sensor, options)
    pixels = (inside.subspace.basis @ inside.coefficients[:, inside.valid]).clamp_(min=0)
    atoms = inside.subspace.analysis @ learn_atoms(pixels)
    return Structure(inside.subspace, atoms, levels, Agreement(seen, inside.scales))


def learn_atoms(pixels: Tensor) -> Tensor:
    """D (L, K): non-negative atoms, none longer than 1, of pixels (L, N), starting at K of them."""
    order = torch.randperm(pixels.shape[1], generator=torch.Generator().manual_seed(SEED))
    atoms = pixels[:, order[:ATOMS].to(pixels.device)]
    atoms = atoms / atoms.norm(dim=0).clamp(min=LEAST)
    for _ in range(LEARNING_ROUNDS):
        atoms = update_atoms(pixels, atoms, sparse_codes(pixels, atoms))
    return atoms


def sparse_codes(pixels: Tensor, atoms: Tensor) -> Tensor:
    """About argmin_B>=0 ||pixels - atoms B||^2 + lambda ||B||_1, (K, N), by ADMM."""
    gram, pull = atoms.mT @ atoms, atoms.mT @ pixels
    codes, multiplier, mu = torch.zeros_like(pull), torch.zeros_like(pull), CODE_MU
    powers, vectors = torch.linalg.eigh(gram.double())
    for _ in range(CODINGS):
        inverse = ((vectors / (powers + mu)) @ vectors.mT).to(gram)
        free = inverse @ torch.add(pull, codes, alpha=mu).sub_(multiplier, alpha=0.5)
        codes = torch.add(free, multiplier, alpha=1 / (2 * mu)).sub_(CODE_SPARSITY / (2 * mu)).clamp_(min=0)
        multiplier.add_(free.sub_(codes), alpha=mu)
        mu *= CODE_MU_GROWTH
    return codes


def update_atoms(pixels: Tensor, atoms: Tensor, codes: Tensor) -> Tensor:
    """Each atom in turn to what fits best beside the others, non-negative, shrunk to length 1 where it is longer."""
    atoms, pull, gram = atoms.clone(), pixels @ codes.mT, codes @ codes.mT
    for k in range(atoms.shape[1]):
        if gram[k, k] > LEAST:
            step = (pull[:, k] - atoms @ gram[:, k]) / gram[k, k]
            atom = (atoms[:, k] + step).clamp(min=0)
            atoms[:, k] = atom / atom.norm().clamp(min=1)
    return atoms
