"""Reading notes: what each figure of the report shows, how it is read, and what should make one suspicious."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """The text below a figure."""

    title: str
    shows: str
    reading: str
    suspicious: str


NOTES = {
    "ranking": Note(
        "Ranking",
        "The RMSE of each method over all withheld pixels, and its ratio to that of the baseline, both with their "
        "confidence intervals.",
        "The best method is on top. Intervals come from resampling blocks of days, so they show how much the "
        "result depends on the scored days. Judge a difference between two methods by the ratio: days that are "
        "difficult for one method are difficult for all, which widens the intervals of the RMSE but not those of the "
        "ratio. A ratio whose interval includes 1 is no improvement.",
        "A method that uses observations and is worse than the climatology; an interval far wider than those of the "
        "other methods, which means that a few days decide; a gain against observations that is absent against the "
        "truth.",
    ),
    "gallery": Note(
        "Days",
        "Days spread over the scored period and over coverage: what the methods were shown, what was withheld from "
        "them, the analysis of the chosen method, and next to it its error, its error standard deviation or the "
        "truth.",
        "Move the slider for another day and choose a method to see its analysis of the same day. All maps of the "
        "field share one scale, which changes from day to day; errors and standard deviations have one scale for all "
        "days and methods. Hatching is sea without a value. The error is analysis less truth or, where the truth is "
        "not known, less the withheld observations.",
        "Edges of clouds, of tiles or of satellite swaths that show in the analysis; filaments and eddies that end "
        "where the cloud begins; a standard deviation that does not grow inside a gap, or is small where the error "
        "is large.",
    ),
    "maps": Note(
        "Errors by pixel",
        "RMSE and bias of each pixel over the days on which it was withheld.",
        "All methods share one scale for each score, which leaves out the outermost 1\u00a0%. Hatched sea was never "
        "withheld. A pixel withheld on few days is noisy: read patterns, not pixels. Error is highest where the sea "
        "varies most, at fronts, in upwelling and in shallow water.",
        "A bias with a pattern that all methods share (the climatology or the observations are wrong), straight "
        "edges (tiles, swaths), a band along the coast (land values in the sea or the reverse).",
    ),
    "daily": Note(
        "Errors by day",
        "RMSE and bias of each scored day, and how much of the sea the input shows on it.",
        "Peaks that all methods share are difficult days: little was observed, or the sea changed quickly. Where "
        "there are many days, dots are days and lines are running medians of 31 scored days.",
        "A bias that drifts or steps (a climatology too old, a sensor that changed), an error with a cycle of the "
        "year, a day on which one method alone fails.",
    ),
    "strata": Note(
        "Errors by gap age, distance and more",
        "RMSE of the withheld pixels, by what was observed around them; the grey bars are the numbers of pixels in "
        "each bin.",
        "Error grows with the age of the last observation and the distance to the nearest one, up to that of the "
        "climatology. A curve that stays below the climatology further to the right belongs to a method that uses "
        "observations from further away. Bins with low bars are uncertain.",
        "A method that is worse than the climatology far from observations; an error that does not grow with "
        "distance or age, which may mean that the method used withheld observations.",
    ),
    "reliability": Note(
        "Is the standard deviation right?",
        "On the left, the interval coverage: how often the interval of each nominal level contains the reference "
        "field. On the right, the RMSE of the pixels by their predicted standard deviation; larger marks have more "
        "pixels.",
        "Both should follow the dashed line. Below it on the left, or above it on the right, the predicted standard "
        "deviation is too small. Against observations the variance of their errors is added to the predicted "
        "variance. A curve that is flat on the right does not distinguish easy pixels from difficult ones.",
        "Right on the left and flat on the right: one standard deviation for all pixels. Wrong at high levels only: "
        "errors with heavy tails, such as clouds that were not detected.",
    ),
    "spectra": Note(
        "Which scales are resolved?",
        "Power spectra along clear segments of the reference field, of the analyses (solid) and of their errors "
        "(dashed); on the right, 1 less the ratio of the spectra of error and reference field.",
        "Large scales are on the left. An analysis below the reference field is smoother than the sea. The effective "
        "resolution, the mark, is the wavelength at which the score falls below one half: smaller scales are not "
        "resolved. It needs long clear segments, so it is estimated where the sea was observed best.",
        "An analysis above the reference field at small scales (noise that looks like structure); a score that does "
        "not fall with the wavelength; a flat end of the reference field, which is the noise of the observations and "
        "limits the score.",
    ),
}
"""By the name that each figure has in the report."""
