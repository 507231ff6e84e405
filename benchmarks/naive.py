"""One control tick with the structure of the published code, written plainly: what the engines are measured against.

Each tick runs the whole text tower twice; takes the cameras one after another; runs every image block on all tokens to the end
and the second half again with the experts; gathers the experts layer by layer; recomputes the window from Python lists; and
builds a distribution to read one action from. It is our own code on our own policy, so that its numbers are the engines'.
Three things that the published code does as well are left out, in its favour: dropout that does nothing, positions computed
anew, a draw from the distribution.
"""

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from benchmarks.naive_layers import NaiveLinear, NaiveQKV, with_naive_layers
from benchmarks.naive_text import NaiveSentences
from dmpel_core.groups import GROUPS
from dmpel_core.inference.engine import Tick
from dmpel_core.inference.ensemble import ChunkEnsemble
from dmpel_core.inference.torch_engine import Generation
from dmpel_core.observation import Observation
from dmpel_core.policy.image import ConvolutionalTower, to_pixels
from dmpel_core.policy.vision import VisionTower


class NaiveEngine:
    """Runs one generation, which must have experts and route at every tick."""

    def __init__(self, generation: Generation) -> None:
        assert generation.pool is not None
        assert generation.router is not None
        assert generation.policy.sizes.mixture_interval == 1
        assert not generation.policy.sizes.expert_bias
        self._number, self._router = generation.number, generation.router
        self._policy = with_naive_layers(generation.policy, generation.pool)
        self._layers = [layer for layer in self._policy.modules() if isinstance(layer, NaiveLinear | NaiveQKV)]
        self._towers = [*self._policy.image.modules(), *self._policy.text.modules()]
        self._sentences = NaiveSentences(self._policy)
        self._ensemble = ChunkEnsemble()
        self.reset()

    def set_instruction(self, instruction: str) -> None:
        """Change the instruction from the next tick on."""
        self._sentences.set(instruction)

    def reset(self) -> None:
        """Forget the observation window and the planned actions."""
        self._queries: list[Tensor] = []
        self._window: list[Tensor] = []
        self._ensemble.reset()

    @torch.no_grad()
    def tick(self, observation: Observation) -> Tick:
        """Compute one action from one observation."""
        sizes = self._policy.sizes
        joints, gripper = (torch.from_numpy(np.asarray(x, np.float32))[None] for x in (observation.joints, observation.gripper))
        state = self._policy.proprioception.normalise(joints, gripper)  # (1, 9)
        self._adapt_towers(False)
        tokens, classes = self.look(observation)
        query = torch.cat([self.read(), *classes, state], -1)
        self._queries.append(self._policy.sequence_query(query[:, None]))
        if len(self._queries) > sizes.window:
            self._queries.pop(0)
        weights, index = self.route(torch.stack(self._queries).mean(0))
        self.mix(weights, index)
        self._adapt_towers(True)
        self._window.append(self.fuse(self.look_again(tokens), self.read(), state))
        if len(self._window) > sizes.window:
            self._window.pop(0)
        plan = self.act(torch.cat(self._window, 1))
        coefficients = torch.zeros(len(GROUPS), self._router.experts).scatter(-1, index[0], weights[0])
        return Tick(self._ensemble.next(plan.numpy()), coefficients.numpy(), self._number)

    def look(self, observation: Observation) -> tuple[list[Tensor], list[Tensor]]:
        """Return each camera's tokens after the frozen half, and its class token after all blocks without experts."""
        tokens, classes = [], []
        for number, camera in enumerate(self._policy.sizes.cameras):
            picture = torch.from_numpy(getattr(observation, camera)).permute(2, 0, 1)[None]
            tokens.append(self._frozen_half(to_pixels(picture, self._policy.sizes.pixels), number))
            classes.append(self._second_half(tokens[-1]))
        return tokens, classes

    def look_again(self, tokens: list[Tensor]) -> list[Tensor]:
        """Return each camera's class token after the second half with experts."""
        return [self._policy.image.project(self._second_half(camera)) for camera in tokens]

    def read(self) -> Tensor:
        """Return the sentence's embedding (1, text_width), with experts where the towers are set to use them."""
        return self._sentences.embed()

    def route(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return coefficients and indices of the chosen experts, each (1, 6, k)."""
        weights, index = torch.topk(self._router.dense(query), self._router.top_k, -1, sorted=False)
        return weights, index

    def mix(self, weights: Tensor, index: Tensor) -> None:
        """Mix the experts of every adapted layer."""
        for layer in self._layers:
            for experts in layer.experts:
                group = GROUPS.index(experts.group)
                experts.choose(weights[:, group], index[:, group])

    def fuse(self, pictures: list[Tensor], text: Tensor, state: Tensor) -> Tensor:
        """Return this tick's fused tokens (1, 1, 2 + cameras, width)."""
        tokens = self._policy.proprioception(state)
        for picture in pictures:
            tokens = torch.cat([tokens, picture[:, None]], 1)
        return self._policy.fusion(tokens[:, None], text)

    def act(self, window: Tensor) -> Tensor:
        """Return the plan (chunk, 7) of the heaviest Gaussian, from a window (1, ticks, tokens, width)."""
        answer = self._policy.head(self._policy.temporal(window)[:, -1])
        plans = Independent(Normal(answer.mean, answer.std), 2)
        mixture = MixtureSameFamily(Categorical(logits=answer.logits), plans)
        heaviest = mixture.mixture_distribution.probs.argmax(-1)
        return mixture.component_distribution.mean[0, heaviest[0]]

    def _adapt_towers(self, adapted: bool) -> None:
        """Let the towers' layers use their experts or not."""
        for layer in self._towers:
            if isinstance(layer, NaiveLinear | NaiveQKV):
                layer.adapted = adapted

    def _frozen_half(self, picture: Tensor, camera: int) -> Tensor:
        """Return one camera's tokens (1, tokens, image_width)."""
        tower = self._policy.image
        if isinstance(tower, ConvolutionalTower):
            return tower.trunks[camera]((picture - 0.45) / 0.25)
        assert isinstance(tower, VisionTower)
        return tower.trunk(picture[:, None])[:, 0]

    def _second_half(self, tokens: Tensor) -> Tensor:
        """Return the class token (1, image_width) after every block has computed all tokens."""
        for block in self._policy.image.blocks:
            tokens = block(tokens)
        return self._policy.image.norm(tokens)[:, 0]
