"""Reading notes: what each figure of the report shows, how it is read, and what should make one suspicious."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """What stands below a figure."""

    title: str
    shows: str
    reading: str
    suspicious: str


NOTES = {
    "ranking": Note(
        "Ranking",
        "The RMSE of each method over all withheld pixels, and its ratio to that of the baseline, both with their "
        "confidence intervals.",
        "The best method is on top. Intervals come from resampling blocks of days, so they tell how much the result "
        "hangs on the days that were drawn. Judge a difference between two methods by the ratio: days that are hard "
        "for one are hard for all, which widens the intervals of the RMSE but not those of the ratio. A ratio whose "
        "interval holds 1 is no improvement.",
        "A method that sees observations and does worse than the climatology; an interval far wider than those of "
        "its neighbours, which says that a few days decide; a gain against observations that is gone against the "
        "truth.",
    ),
    "gallery": Note(
        "Days",
        "Days spread over the scored period and over coverage: what the methods were shown, what was withheld from "
        "them, the analysis of the chosen method, and beside it its error, its standard deviation or the truth.",
        "Move the slider for another day and choose a method to see its analysis of the same day. All maps of the "
        "field share one scale, which is new each day; errors and standard deviations keep one scale over all days "
        "and methods. Hatching is sea without a value. The error is analysis less truth or, where the truth is not "
        "known, less the withheld observations.",
        "Edges of clouds, of tiles or of satellite swaths that show in the analysis; filaments and eddies that end "
        "where the cloud begins; a standard deviation that does not grow inside a gap, or is small where the error "
        "is large.",
    ),
    "maps": Note(
        "Errors by pixel",
        "RMSE and bias of each pixel over the days on which it was withheld.",
        "All methods share one scale for each score, which leaves out the outermost 1\u00a0%. Hatched sea was never "
        "withheld. A pixel withheld on few days is noisy: read patterns, not pixels. Error is highest where the sea "
        "varies most, in fronts, upwelling and shallow water.",
        "A bias with a pattern that all methods share (the climatology or the observations are off), straight edges "
        "(tiles, swaths), a rim along the coast (land that leaks into the sea or the reverse).",
    ),
    "daily": Note(
        "Errors by day",
        "RMSE and bias of each scored day, and how much of the sea the input shows on it.",
        "Peaks that all methods share are hard days: little was seen, or the sea changed quickly. Over many days the "
        "dots are days and the lines are running medians of 31 scored days.",
        "A bias that drifts or steps (a climatology too old, a sensor that changed), an error with a cycle of the "
        "year, a day on which one method alone fails.",
    ),
    "strata": Note(
        "Errors by gap age, distance and more",
        "RMSE of the withheld pixels, parted by what was known around them; the grey bars count the pixels of each "
        "bin.",
        "Error grows with the age of the last observation and the distance to the nearest one, up to that of the "
        "climatology. How far to the right a curve stays below the climatology says how far the method carries what "
        "it has seen. Bins with low bars are uncertain.",
        "A method that is worse than the climatology far from observations; an error that does not grow with "
        "distance or age, which may mean that the method has seen what was withheld.",
    ),
    "reliability": Note(
        "Is the standard deviation right?",
        "On the left, how often the interval of each nominal level holds the reference. On the right, the RMSE of "
        "the pixels by the standard deviation that the method had predicted for them; larger marks hold more pixels.",
        "Both should follow the dashed line. Below it on the left, or above it on the right, the method is too sure "
        "of itself. Against observations their noise is added to the predicted variance. A curve that is flat on "
        "the right cannot tell easy pixels from hard ones.",
        "Right on the left and flat on the right: one standard deviation for everything. Far off at high levels "
        "alone: errors with heavy tails, such as clouds that passed for sea.",
    ),
    "spectra": Note(
        "Which scales are resolved?",
        "Power spectra along clear segments of the reference, of the analyses (solid) and of their errors (dashed); "
        "on the right, 1 less the ratio of the spectra of error and reference.",
        "Large scales are on the left. An analysis below the reference is smoother than the sea. The effective "
        "resolution, the mark, is the wavelength at which the score falls through one half: what is smaller is not "
        "resolved. It needs long clear segments, so it is estimated where the sea was seen best.",
        "An analysis above the reference at small scales (noise that passes for structure); a score that does not "
        "fall with the wavelength; a flat end of the reference, which is the noise of the observations and caps the "
        "score.",
    ),
}
"""By the name that each figure has in the report."""
