"""The filters from decoded pictures to upright, progressive sRGB pictures with square pixels.

Files and streams use the same filters. ffmpeg itself turns pictures by the display matrix of a
container, before these filters. Headers of pictures may ask for it, too, but only some pictures
have such headers, and the first one may lack them, so that a filter turns all pictures.
"""

from dataclasses import dataclass
from typing import Self

from vidsal.media import banner
from vidsal.media.headers import DisplayOrientation
from vidsal.media.probe import TELEVISION_CODECS, VideoStream, lacks_matrix

# Interlaced pictures become progressive, others stay as they are.
DEINTERLACE = "bwdif=send_frame:auto:interlaced"
# Codecs whose live streams may be interlaced.
INTERLACED_CODECS = ("h264", *TELEVISION_CODECS)
# HDR to SDR: to linear light, a tone curve that keeps bright parts apart, the usual transfer.
_TONE_MAP = (
    "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,"
    "zscale=t=bt709:m=bt709:r=tv,format=yuv444p10le"
)
# The colours of HDR pictures that do not name them, by the HDR standard.
_HDR_COLOURS = {"colorspace": "bt2020nc", "color_primaries": "bt2020"}
# The size at which pixels are square, as `vidsal.media.probe.square_size` computes it. No side
# becomes smaller. Aspect ratios outside of 1/10 to 10 are errors.
_SQUARE_WIDTH = "if(between(sar,1,10),round(iw*sar),iw)"
_SQUARE_HEIGHT = "if(between(sar,0.1,1),round(ih/sar),ih)"


@dataclass(frozen=True, slots=True)
class PictureTraits:
    """Properties of decoded pictures that decide how they become sRGB.

    Attributes
    ----------
    is_hdr : bool
        Whether the transfer function is PQ or HLG.
    missing_hdr_tags : tuple of str
        Color tags that an HDR stream lacks; see `VideoStream`.
    lacks_matrix : bool
        Whether the pictures are BT.709 and do not say so.
    may_be_interlaced : bool
        Whether interlaced pictures may occur. Each picture says whether it is one.
    orientation : DisplayOrientation or None
        How headers of the pictures ask to turn them. ``None`` if the container's display matrix
        counts.
    """

    is_hdr: bool = False
    missing_hdr_tags: tuple[str, ...] = ()
    lacks_matrix: bool = False
    may_be_interlaced: bool = False
    orientation: DisplayOrientation | None = None

    @classmethod
    def of_file(
        cls,
        stream: VideoStream,
        *,
        may_be_interlaced: bool,
        orientation: DisplayOrientation | None = None,
    ) -> Self:
        """Return the traits of the video stream of a file.

        Parameters
        ----------
        stream : VideoStream
        may_be_interlaced : bool
            See `PictureTraits`.
        orientation : DisplayOrientation, optional
            See `PictureTraits`.
        """
        return cls(
            stream.is_hdr, stream.missing_hdr_tags, stream.lacks_matrix, may_be_interlaced,
            orientation,
        )  # fmt: skip

    @classmethod
    def of_live(cls, line: str, codec: str, orientation: DisplayOrientation | None = None) -> Self:
        """Return the traits of a live stream.

        Deinterlacing delays the output by one picture. So H.264 streams are only deinterlaced
        unless ffmpeg reports their first pictures as progressive.

        Parameters
        ----------
        line : str
            The line of the stream in ffmpeg's banner.
        codec : str
            ffmpeg's name.
        orientation : DisplayOrientation, optional
            See `PictureTraits`.
        """
        size = banner.coded_size(line)
        may_be_interlaced = banner.is_interlaced(line) or codec in TELEVISION_CODECS
        if codec in INTERLACED_CODECS and not banner.is_progressive(line):
            may_be_interlaced = True
        return cls(
            banner.is_hdr(line), banner.missing_hdr_tags(line),
            size is not None and lacks_matrix(size, codec, line), may_be_interlaced, orientation,
        )  # fmt: skip


def picture_filters(
    traits: PictureTraits, size_px: tuple[int, int] | None = None, *, keeps_yuv: bool = False
) -> list[str]:
    """Return ffmpeg's filters to upright, progressive SDR pictures with square pixels.

    The last filter keeps the pixel format of the decoder. ffmpeg converts to 8-bit RGB after it,
    in one step from the decoded luma and chroma.

    Parameters
    ----------
    traits : PictureTraits
    size_px : (int, int), optional
        (height, width) of all pictures. By default that of the first one, with square pixels.
    keeps_yuv : bool
        Whether ffmpeg does not convert to RGB. Then the pictures are BT.709 in limited range.
    """
    filters = []
    if traits.may_be_interlaced:
        # Before filters that mix rows.
        filters.append(DEINTERLACE)
    if traits.orientation is not None:
        filters += _orientation_filters(traits.orientation)
    if traits.is_hdr:
        if traits.missing_hdr_tags:
            colours = ":".join(f"{key}={_HDR_COLOURS[key]}" for key in traits.missing_hdr_tags)
            filters.append(f"setparams={colours}")
        filters.append(_TONE_MAP)
    size = f"'{_SQUARE_WIDTH}':'{_SQUARE_HEIGHT}'"
    if size_px is not None:
        size = f"{size_px[1]}:{size_px[0]}"
    matrix = ":in_color_matrix=bt709" if traits.lacks_matrix else ""
    if keeps_yuv:
        # Without the matrix of the output ffmpeg would convert to RGB and back. A later part of the
        # file may have other colours: they become these.
        matrix += ":out_color_matrix=bt709:out_range=tv"
    # Full chroma: else scaled pictures become two levels darker.
    return [*filters, f"scale={size}:flags=bicubic+full_chroma_int{matrix}", "setsar=1"]


def rotation_options(orientation: DisplayOrientation | None) -> list[str]:
    """Return ffmpeg's input options that leave the rotation to `picture_filters`.

    Parameters
    ----------
    orientation : DisplayOrientation or None
        See `PictureTraits`.
    """
    return [] if orientation is None else ["-noautorotate"]


def _orientation_filters(orientation: DisplayOrientation) -> list[str]:
    """Return filters that flip, then rotate."""
    filters = ["hflip"] * orientation.is_flipped_horizontally
    filters += ["vflip"] * orientation.is_flipped_vertically
    rotations = {90: ["transpose=cclock"], 180: ["hflip", "vflip"], 270: ["transpose=clock"]}
    return filters + rotations.get(orientation.rotation_deg, [])


def reason_against_opencv(stream: VideoStream, *, may_be_interlaced: bool) -> str:
    """Return why OpenCV would decode a file to other pictures; empty if nothing is known.

    OpenCV converts to 8-bit RGB by itself. It ignores interlacing, transfer functions of HDR, and
    the matrix that a stream means but does not name. Wrong colours are clipped, so that they
    cannot be corrected afterwards.

    Parameters
    ----------
    stream : VideoStream
    may_be_interlaced : bool
        See `PictureTraits`.
    """
    if stream.is_hdr:
        return "it is HDR and needs tone mapping"
    if stream.lacks_matrix:
        return "it is BT.709 without a tag, which OpenCV reads as BT.601"
    if stream.has_wide_gamut:
        return "its primaries are not those of BT.709, and OpenCV converts them"
    return "it may be interlaced" if may_be_interlaced else ""
