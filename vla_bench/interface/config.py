"""The numbers of a model: widths, depths, special tokens.  `presets.py` names two sets of them."""

from __future__ import annotations

from dataclasses import dataclass, field

PROJECTOR_GROWTH = 4  # the vision projector's first layer widens the fused features by this much
RESIDUAL_BLOCKS = 2  # of the L1 action head


@dataclass(frozen=True)
class ViTConfig:
    """One vision transformer, in timm's terms.

    The feature is the output of block `depth - 2`, without the final norm; the last block, the final norm and the
    attention pool are in the files and never used.
    """

    timm_id: str
    width: int
    depth: int
    heads: int
    mlp_ratio: float
    patch: int = 14
    registers: int | None = None  # None: neither CLS nor registers
    layer_scale: bool = False
    attention_pool: bool = False

    @property
    def mlp(self) -> int:
        return int(self.width * self.mlp_ratio)

    @property
    def prefix(self) -> int:
        """Tokens before the patches: CLS and registers."""
        return 0 if self.registers is None else 1 + self.registers


DINOV2 = ViTConfig("vit_large_patch14_reg4_dinov2.lvd142m", 1024, 24, 16, 4.0, registers=4, layer_scale=True)
SIGLIP = ViTConfig("vit_so400m_patch14_siglip_224", 1152, 27, 16, 3.7362, attention_pool=True)


@dataclass(frozen=True)
class LLMConfig:
    """A Llama decoder.  Defaults are LlamaConfig's, on which the public files rely: RMSNorm eps 1e-6, not Meta's 1e-5."""

    width: int = 4096
    layers: int = 32
    heads: int = 32
    mlp: int = 11008
    vocab: int = 32064  # rows of the embedding: the tokenizer's words, <PAD>, and padding to a multiple of 64
    rope_theta: float = 10000.0
    rms_eps: float = 1e-6
    max_positions: int = 2048


@dataclass(frozen=True)
class TokenIds:
    """Ids with a meaning, and the prompt they stand in."""

    bos: int = 1
    stop: int = 2
    pad: int = 32000
    space: int = 29871  # the lone "space" piece that ends every prompt
    actions_end: int = 32000  # one past the last action bin: bin b of 1..256 has id actions_end - b
    action_bins: int = 256
    template: str = "In: What action should the robot take to {instruction}?\nOut:"


@dataclass(frozen=True)
class VLAConfig:
    """A whole vision-language-action model.  The defaults are the paper's."""

    name: str = "7b"
    image_size: int = 224
    cameras: int = 2
    camera_size: int = 256  # of the frames that are resized to `image_size`, as the simulator renders them
    center_crop: bool = True  # see only the middle nine tenths of a frame, as training with random crops needs it
    dino: ViTConfig = DINOV2
    siglip: ViTConfig = SIGLIP
    llm: LLMConfig = field(default_factory=LLMConfig)
    tokens: TokenIds = field(default_factory=TokenIds)
    chunk: int = 8  # time steps answered by one query
    action_dim: int = 7
    proprio_dim: int = 8  # 0: no proprio token
    l1_head: bool = True  # False: actions are tokens, one after another as in OpenVLA or all at once
    # How many patches far an image token's feature sees; None: the whole image, as in every published model.  With 0 a token
    # says what its own patch shows and nothing else, so that it matters which tokens are kept.
    reach: int | None = None

    @property
    def patches(self) -> int:
        """Image tokens of one camera."""
        return (self.image_size // self.dino.patch) ** 2

    def sees(self, block: int) -> int | None:
        """How many patches far a patch attends in block `block` of a vision transformer: one in the first `reach` blocks, and
        none (itself alone) behind them; None for all patches."""
        return None if self.reach is None else int(block < self.reach)

    def vit_tokens(self, vit: ViTConfig) -> int:
        """Tokens in a vision transformer: patches, and the tokens before them where these see and are seen."""
        return self.patches + (vit.prefix if self.reach is None else 0)

    @property
    def visual_tokens(self) -> int:
        """P: image tokens of all cameras."""
        return self.cameras * self.patches

    @property
    def vision_width(self) -> int:
        return self.dino.width + self.siglip.width

    @property
    def slots(self) -> int:
        """K: action placeholders."""
        return self.chunk * self.action_dim
