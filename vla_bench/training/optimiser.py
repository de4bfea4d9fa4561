"""AdamW for everything, or Muon for the matrices and AdamW for the rest."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW

from vla_bench.training.muon import Muon
from vla_bench.training.recipe import Recipe

# 2-D weights whose rows are independent: word embeddings and output layers.
NOT_FOR_MUON = ("embed_tokens", "action_head.model.fc2", "where.")


class Optimisers:
    """The recipe's optimisers of a module's trainable weights, used as one."""

    def __init__(self, recipe: Recipe, module: nn.Module):
        named = {name: p for name, p in module.named_parameters() if p.requires_grad}
        matrices = [p for name, p in named.items() if recipe.matrix_rate and is_matrix(name, p)]
        by_muon = {id(p) for p in matrices}
        rest = [p for p in named.values() if id(p) not in by_muon]
        self.parameters = list(named.values())
        self.members = [AdamW(rest, recipe.learning_rate, weight_decay=recipe.weight_decay)]
        if matrices:
            self.members.append(Muon(matrices, recipe.matrix_rate, weight_decay=recipe.weight_decay))
        self._rates = [member.param_groups[0]["lr"] for member in self.members]

    def step(self, factor: float) -> None:
        """One step at `factor` times the peak learning rates; clears the gradients."""
        for member, rate in zip(self.members, self._rates, strict=True):
            for group in member.param_groups:
                group["lr"] = rate * factor
            member.step()
            member.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict]:
        return [member.state_dict() for member in self.members]

    def load_state_dict(self, states: list[dict]) -> None:
        for member, state in zip(self.members, states, strict=True):
            member.load_state_dict(state)


def is_matrix(name: str, p: nn.Parameter) -> bool:
    """Whether Muon trains a weight."""
    return p.ndim == 2 and not any(part in name for part in NOT_FOR_MUON)
