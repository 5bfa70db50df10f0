"""Types that all wings share: frames, properties of a source, motion, predictions and saliency.

All are frozen. They check the shape and dtype of their arrays, so that a swapped axis is an error
where it happens and not a wrong picture later. Their repr shows shapes, not pixels. Sizes are
(height, width), points (row, column), frame numbers start at 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Protocol,
    Self,
    runtime_checkable,
)

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Map = NDArray[np.float32]
Corner = Literal["bottom-left", "bottom-right", "top-left", "top-right"]
# A prediction lists at most this many classes.
TOP_CLASSES = 5


def _check(name: str, array: Any, ndim: int, dtype: type, last: int | None = None) -> None:
    """Raise `ValueError` unless `array` has this rank, dtype and, if given, last axis."""
    shape = getattr(array, "shape", None)
    if shape is None or len(shape) != ndim or array.dtype != dtype or (last and shape[-1] != last):
        got = f"{getattr(array, 'dtype', type(array).__name__)} {shape}"
        needed = f"{np.dtype(dtype)} with {ndim} axes" + (f", the last of {last}" if last else "")
        raise ValueError(f"{name} must be {needed}, got {got}")


def _brief(self: Any) -> str:
    """Return a repr with shapes in place of pixels."""

    def show(value: Any) -> str:
        if isinstance(value, np.ndarray):
            return f"{value.dtype}{list(value.shape)}"
        return repr(value)

    shown = [f.name for f in fields(self) if f.repr]
    values = ", ".join(f"{name}={show(getattr(self, name))}" for name in shown)
    return f"{type(self).__name__}({values})"


class LumaChroma(Protocol):
    """A picture in luma and chroma; `vidsal.yuv.Yuv420` is one."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width."""

    def to_rgb(self) -> Rgb:
        """Return the picture in RGB, (H, W, 3) uint8."""

    def resized(self, size: tuple[int, int], resize: Callable[[Rgb, tuple[int, int]], Rgb]) -> Rgb:
        """Return the picture in RGB at another size.

        Parameters
        ----------
        size : (int, int)
            Height and width.
        resize : callable
            Returns an array at a size.
        """


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """One picture of a source.

    Attributes
    ----------
    rgb : (H, W, 3) uint8 array
        0..255 sRGB, red first, contiguous; never written to after creation. That of a frame in
        luma and chroma is computed when it is first asked for.
    index : int
        0-based number in decode order.
    time_s : float
        Presentation time in seconds after the first frame of the source, even if that one cannot
        be decoded.
    has_time : bool
        Whether the source has a time axis; a photo has none, and its ``time_s`` is 0.
    yuv : LumaChroma or None
        The picture as it was decoded; ``None`` if that was RGB.
    """

    rgb: Rgb
    index: int
    time_s: float
    has_time: bool = True
    yuv: LumaChroma | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        _check("Frame.rgb", self.rgb, 3, np.uint8, last=3)

    @classmethod
    def of_yuv(cls, picture: LumaChroma, index: int, time_s: float) -> Self:
        """Return a frame of a picture in luma and chroma.

        Parameters
        ----------
        picture : LumaChroma
        index : int
        time_s : float
        """
        frame = cls.__new__(cls)
        values = {"yuv": picture, "index": index, "time_s": time_s, "has_time": True}
        for name, value in values.items():
            object.__setattr__(frame, name, value)
        return frame

    if not TYPE_CHECKING:  # Else any name would be an attribute to the type checker.

        def __getattr__(self, name: str) -> Any:
            """Compute ``rgb``, which is the only attribute that may be missing."""
            if name != "rgb":
                raise AttributeError(name)
            rgb = self.yuv.to_rgb()
            object.__setattr__(self, "rgb", rgb)
            return rgb

    def __reduce__(self) -> tuple[Any, ...]:
        # Copied and pickled in one form, and without computing the other.
        if self.yuv is not None:
            return Frame.of_yuv, (self.yuv, self.index, self.time_s)
        return Frame, (self.rgb, self.index, self.time_s, self.has_time)

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return (self.rgb.shape[0], self.rgb.shape[1]) if self.yuv is None else self.yuv.size_px

    def resized(self, size: tuple[int, int], resize: Callable[[Rgb, tuple[int, int]], Rgb]) -> Rgb:
        """Return the picture in RGB at another size, (height, width, 3) uint8.

        Parameters
        ----------
        size : (int, int)
            Height and width.
        resize : callable
            Returns an array at a size, such as `vidsal.image_ops.shrink`.
        """
        # Never from `rgb` if there is `yuv`: the results differ by a level, in saturated colours by
        # more, and must not depend on what was asked for before.
        if self.yuv is not None:
            return self.yuv.resized(size, resize)
        return resize(self.rgb, size)

    __repr__ = _brief


@dataclass(frozen=True, slots=True)
class SoundPart:
    """The part of a file's sound that belongs to the frames of a source.

    Attributes
    ----------
    path : str
        The file with the sound.
    codec : str
        ffmpeg's name of the codec.
    begin_s : float
        Beginning of the part, in seconds after the beginning of the file.
    picture_at_s : float
        Time of the first frame, in seconds after `begin_s`, at least 0.
    duration_s : float or None
        Length of the part in seconds; ``None`` for the rest of the file.
    """

    path: str
    codec: str
    begin_s: float = 0.0
    picture_at_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Properties of a source that are known before its frames are read.

    Attributes
    ----------
    name : str
        Path, or display name of a camera or stream.
    height_px, width_px : int
        Size of the first frame, after rotation.
    fps : Fraction or None
        Frames per second that the source yields; ``None`` for a photo.
    frame_count_hint : int or None
        Number of frames that the header claims. It may size a progress bar, but never an array.
    is_live : bool
        Whether the source has no end, like a camera.
    duration_s : float or None
        Total display time of the yielded frames in seconds, including the last one; ``None`` if
        unknown.
    sound : SoundPart or None
        The sound that belongs to the frames.
    files : tuple of str
        The files that are read, if they differ from the file of the name.
    """

    name: str
    height_px: int
    width_px: int
    fps: Fraction | None
    frame_count_hint: int | None = None
    is_live: bool = False
    duration_s: float | None = None
    sound: SoundPart | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """Faults of a source, in the part that was read.

    Attributes
    ----------
    damaged : int
        Frames that could not be decoded, or are known to be incomplete.
    is_cut_off : bool
        Whether the file is truncated.
    decoder : str
        The program that decoded the frames; empty if it does not matter.
    decoded : int or None
        Frames that were decoded so far; ``None`` for a source that hands out all of them.
    left_out : mapping of str to int
        How many decoded frames were not handed out, by reason.
    """

    damaged: int = 0
    is_cut_off: bool = False
    decoder: str = ""
    decoded: int | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


class CentreMotion(NamedTuple):
    """Motion of the middle of the picture from the previous frame to this one.

    Attributes
    ----------
    rows_px, columns_px : float
        Down and to the right, in working pixels; the scene moves opposite to the camera.
    zoom : float
        Magnification; 1 for none.
    turn_deg : float
        Rotation in degrees, clockwise on the screen.
    """

    rows_px: float
    columns_px: float
    zoom: float
    turn_deg: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CameraMotion:
    """The motion of the whole picture between two frames, as a 3 x 3 homography.

    Attributes
    ----------
    matrix : (3, 3) float32 array
        Maps (column, row, 1) of the previous frame to this one, in working pixels. Its last
        element is 1.
    model : str
        The fitted model: "similarity", "affine", "homography", "median", or "none".
    inlier_share : float or None
        Share of the flow vectors that agree with the matrix, 0..1; ``None`` if no model was
        fitted.
    """

    matrix: Map
    model: str
    inlier_share: float | None

    def __post_init__(self) -> None:
        _check("CameraMotion.matrix", self.matrix, 2, np.float32, last=3)
        if len(self.matrix) != 3:
            raise ValueError(f"CameraMotion.matrix must be 3 x 3, got {self.matrix.shape}")

    __repr__ = _brief

    def at_centre(self, size: tuple[int, ...]) -> "CentreMotion":
        """Return the motion of the middle of a picture.

        Parameters
        ----------
        size : (int, int)
            Height and width.
        """
        matrix = self.matrix.astype(np.float64)
        before = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
        column, row, depth = matrix @ (*before, 1)
        after = np.array([column, row]) / depth
        # The derivative of `after` by `before`: how the surroundings are stretched and rotated.
        jacobian = (matrix[:2, :2] - np.outer(after, matrix[2, :2])) / depth
        sine, cosine = jacobian[1, 0] - jacobian[0, 1], jacobian[0, 0] + jacobian[1, 1]
        return CentreMotion(
            rows_px=float(after[1] - before[1]),
            columns_px=float(after[0] - before[0]),
            zoom=float(np.sqrt(abs(np.linalg.det(jacobian)))),
            turn_deg=float(np.degrees(np.arctan2(sine, cosine))),
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Motion:
    """Motion between the previous frame and this one.

    Attributes
    ----------
    flow : (h, w, 2) float32 array
        From the previous frame to this one, on the previous frame's grid; [..., 0] columns,
        [..., 1] rows, working pixels per frame. It is computed at half the size, and serves to
        check `backward`.
    backward : (h, w, 2) float32 array
        From this frame to the previous one, on this frame's grid, in the same unit.
    known : (h, w) float32 array
        1 where a point of this frame is visible in the previous one, 0 where it was occluded or
        outside the picture.
    speed : (h, w) float32 array
        Speed of each point of this frame after camera compensation, at least 0; working pixels
        per frame. 0 where `known` is 0, before the light smoothing.
    camera : CameraMotion
        The camera motion that was subtracted.
    """

    flow: Map
    backward: Map
    known: Map
    speed: Map
    camera: CameraMotion

    def __post_init__(self) -> None:
        for name in ("flow", "backward"):
            _check(f"Motion.{name}", getattr(self, name), 3, np.float32, last=2)
        for name in ("known", "speed"):
            _check(f"Motion.{name}", getattr(self, name), 2, np.float32)

    __repr__ = _brief


@dataclass(frozen=True, slots=True)
class Target:
    """The score that is differentiated; exactly one of the attributes is set.

    Attributes
    ----------
    top : int or None
        The sum of this many largest scores of each sample. 1 means the class of the request, if it
        has one.
    class_id : int or None
        The score of one class throughout.
    is_locked : bool
        The score of the class that was on top for most of the last second, see
        `vidsal.saliency.targets.TargetLock`.

    Raises
    ------
    ValueError
        If none or several are set.
    """

    top: int | None = None
    class_id: int | None = None
    is_locked: bool = False

    def __post_init__(self) -> None:
        if (self.top is not None) + (self.class_id is not None) + self.is_locked != 1:
            raise ValueError(f"set exactly one of top, class_id and is_locked, got {self}")


@dataclass(frozen=True, slots=True)
class Request:
    """A request for the gradient map of one picture.

    Attributes
    ----------
    frame : int
        The frame's number; it seeds the noise.
    samples : int
        Number of gradients to draw, at least 1.
    class_id : int or None
        Class to explain, if the stream chose one; otherwise the target of the static stage holds.
    turn : int
        Turn of the first gradient. Pictures and their mirror images take turns.
    """

    frame: int
    samples: int
    class_id: int | None = None
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Prediction:
    """The classes that a network predicts for one frame, most likely first.

    Attributes
    ----------
    class_ids : tuple of int
        Up to five indices into the network's classes.
    names : tuple of str
        Their names.
    probabilities : tuple of float
        Softmax over all classes, 0..1.
    target_id : int or None
        The class whose score was differentiated; ``None`` for the sum of several.
    target_name : str
        Its name, or for several a text such as "top 5".
    target_probability : float
        Its softmax probability, or the sum of several, 0..1.
    model_name : str or None
        Name of the network; ``None`` if it has none.
    precision : str or None
        Arithmetic of the network, "float32" or "bfloat16"; ``None`` if unknown.
    all_probabilities : (classes,) float32 array or None
        Softmax of every class, 0..1; ``None`` if they were not kept, as in a frame of a store.
    time_s : float or None
        Time of the frame that was looked at; those after it repeat its prediction. ``None`` if
        unknown.
    """

    class_ids: tuple[int, ...]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    target_id: int | None
    target_name: str
    target_probability: float
    model_name: str | None = None
    precision: str | None = None
    all_probabilities: Map | None = field(default=None, repr=False, compare=False)
    time_s: float | None = None


class StaticStage(Protocol):
    """The interface between a network and the stream: pictures in, gradient maps and classes out.

    Attributes
    ----------
    names : tuple of str
        Names of the classes.
    target : Target
        The score that is differentiated.
    input_size : (int, int) or None
        The only (height, width) that the network takes; ``None`` if it takes any.
    """

    names: tuple[str, ...]
    target: Target
    input_size: tuple[int, int] | None

    @property
    def precision(self) -> str | None:
        """The arithmetic of the last call; ``None`` if it is not known."""

    @property
    def is_decided(self) -> bool:
        """Whether the stage has tried which arithmetic is quicker, or had nothing to try."""

    def predict(self, rgb: Rgb) -> Map:
        """Return the probabilities of the classes.

        Parameters
        ----------
        rgb : (N, h, w, 3) uint8 array

        Returns
        -------
        (N, classes) float32 array
            Softmax, 0..1.
        """

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        """Return the mean of the sampled gradient maps of each picture.

        Parameters
        ----------
        rgb : (N, h, w, 3) uint8 array
        requests : sequence of N Request

        Returns
        -------
        (N, h2, w2) float32 array
            At the size of the layer by which the score is differentiated, without a common scale
            between pictures. At least 0, except with ``reduce="sum"`` at one layer.
        """


@runtime_checkable
class Aimable(Protocol):
    """A static stage whose target can be replaced."""

    def aimed(self, target: Target) -> StaticStage:
        """Return a stage with the same network and another target.

        Parameters
        ----------
        target : Target
        """


class Shown(NamedTuple):
    """The time when a frame of a live source was displayed.

    Attributes
    ----------
    unix_s : float
        Time of the computer's clock in seconds since 1970; it relates a recording to other
        instruments.
    latency_ms : float
        Age of the frame at that time, in milliseconds since its capture.
    """

    unix_s: float
    latency_ms: float


class SaliencyViewer(Protocol):
    """Draws saliency for notebooks; `vidsal.render.notebook` is one."""

    def png(self, saliency: "Saliency") -> bytes:
        """Return the annotated picture as a PNG file.

        Parameters
        ----------
        saliency : Saliency
            Maps of one frame, with its picture.
        """

    def plot(self, saliency: "Saliency", ax: Any = None) -> Any:
        """Draw the panels with matplotlib.

        Parameters
        ----------
        saliency : Saliency
            Maps of one frame, with its picture.
        ax : matplotlib.axes.Axes, optional
            Draw the fused map alone into these axes.
        """


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Saliency:
    """The result for one frame.

    Attributes
    ----------
    frame : Frame
        The frame.
    static : (h, w) float32 array or None
        Scaled gradient map, [0, 1], working size; ``None`` without a network.
    motion : (h, w) float32 array
        Scaled speed, [0, 1], working size.
    fused : (h, w) float32 array
        Fusion of both, [0, 1], working size.
    movement : Motion
        Flow and camera motion since the previous frame.
    speed : (h, w) float32 array
        The speed behind ``motion``: after camera compensation, averaged along the flow over the
        last few frames; diagonals of the picture per second.
    prediction : Prediction or None
        The classes that the network predicts; ``None`` without a network.
    is_cut : bool
        Whether a new scene begins here.
    motion_share : float
        Part of the fused map that motion added, 0..1.
    static_high, motion_high, fused_high : float
        The values displayed as 1: of the gradient map, of ``speed``, and of the fused map in the
        unit of the gradient map (of motion alone, in the unit of ``speed``).
    peak : (float, float) or None
        The most salient point, found before the fused map was clipped: row and column as shares
        of the picture; ``None`` if the map is flat.
    marker : (float, float) or None
        The point that pictures mark: ``peak``, stabilised so that it does not jump between places
        of similar height.
    gradient : (h, w) float32 array or None
        The map behind ``static``: accumulated and smoothed gradients without a common scale.
    event : str
        The frame's place in its scene, see `vidsal.saliency.scenes.SceneDetector`.
    caption_corner : str
        The corner for captions, in which nothing stands out if there is one: "bottom-left",
        "bottom-right", "top-left" or "top-right".
    """

    frame: Frame
    static: Map | None
    motion: Map
    fused: Map
    movement: Motion
    speed: Map
    prediction: Prediction | None
    is_cut: bool
    motion_share: float
    static_high: float
    motion_high: float
    fused_high: float
    peak: tuple[float, float] | None
    marker: tuple[float, float] | None
    gradient: Map | None = None
    event: str = "same"
    caption_corner: Corner = "bottom-left"

    # Set by the library's front door: this module must not import the drawing code.
    viewer: ClassVar[SaliencyViewer | None] = None

    def __post_init__(self) -> None:
        for name in ("static", "motion", "fused", "speed", "gradient"):
            value = getattr(self, name)
            if value is not None:
                _check(f"Saliency.{name}", value, 2, np.float32)

    def __repr__(self) -> str:
        height, width = self.frame.size_px
        parts = [f"frame {self.frame.index}"]
        if self.frame.has_time:
            parts.append(f"{self.frame.time_s:.2f} s")
        parts.append(f"{width}x{height}")
        if self.prediction:
            name, probability = self.prediction.names[0], self.prediction.probabilities[0]
            parts.append(f"{name} {probability:.0%}")
        parts.append(f"{self.motion_share:.0%} by motion")
        if self.is_cut:
            parts.append("first frame after a cut")
        maps = f"maps {self.fused.shape[1]}x{self.fused.shape[0]}"
        return f"Saliency({', '.join([*parts, maps])})"

    def _repr_png_(self) -> bytes | None:
        """Return the picture that a notebook shows."""
        return self.viewer.png(self) if self.viewer else None

    def plot(self, ax: Any = None) -> Any:
        """Draw input, static, motion and fused map side by side with matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Draw only the fused map over the input, into these axes.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        VidsalError
            If matplotlib is not installed.
        """
        assert self.viewer is not None
        return self.viewer.plot(self, ax)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of the frame as a flat dictionary, without the arrays.

        Returns
        -------
        dict
            ``frame``, ``time_s`` (``None`` for a photo), ``is_cut``, ``motion_share``,
            ``static_high``, ``motion_high``, ``fused_high``, ``peak_row`` and ``peak_column`` as
            shares of the picture (``None`` for a flat map), ``speed_median`` and ``speed_p95`` in
            diagonals per second, ``camera_model``, and, with a network, ``model``, ``target``,
            ``target_probability``, ``class_1`` and ``probability_1`` to the fifth class.
        """
        row, column = self.peak or (None, None)
        values: dict[str, Any] = {
            "frame": self.frame.index,
            "time_s": self.frame.time_s if self.frame.has_time else None,
            "is_cut": self.is_cut,
            "motion_share": self.motion_share,
            "static_high": self.static_high,
            "motion_high": self.motion_high,
            "fused_high": self.fused_high,
            "peak_row": row,
            "peak_column": column,
            "speed_median": float(np.median(self.speed)),
            "speed_p95": float(np.percentile(self.speed, 95)),
            "camera_model": self.movement.camera.model,
        }
        if seen := self.prediction:
            values |= {
                "model": seen.model_name,
                "target": seen.target_name,
                "target_probability": seen.target_probability,
            }
            classes = zip(seen.names, seen.probabilities, strict=True)
            for n, (name, probability) in enumerate(classes, start=1):
                values |= {f"class_{n}": name, f"probability_{n}": probability}
        return values
