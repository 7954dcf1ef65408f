namespace RefConv.Models.Analysis;

/// <summary>How steeply a loss rises around a point.</summary>
/// <param name="MaxLoss">Largest finite loss in the box around the centre.</param>
/// <param name="MeanRise">Mean of loss − loss at the centre over the box, the centre left out; points without a finite loss do not count. NaN where none is left.</param>
/// <param name="CurvatureX">Second derivative along the first direction at the centre, by central differences.</param>
/// <param name="CurvatureY">The same along the second one; null for a line.</param>
public sealed record Sharpness(double MaxLoss, double MeanRise, double CurvatureX, double? CurvatureY)
{
    /// <summary>Measures any function on a grid.</summary>
    /// <param name="loss">The function; (0, 0) is the centre. For a line y is 0.</param>
    /// <param name="xs">Rising, with 0 among them, its neighbours at the same distance.</param>
    /// <param name="ys">The same for y; null for a line.</param>
    /// <param name="box">Points count up to this distance along each axis.</param>
    public static Sharpness Of(Func<double, double, double> loss, IReadOnlyList<double> xs, IReadOnlyList<double>? ys, double box = 1)
    {
        double centre = loss(0, 0), most = double.NaN, rise = 0;
        int count = 0;
        double limit = box * (1 + 1e-9); // an axis is rounded
        foreach (double y in ys ?? [0])
        {
            foreach (double x in xs)
            {
                if (Math.Abs(x) > limit || Math.Abs(y) > limit) continue;
                double value = loss(x, y);
                if (!double.IsFinite(value)) continue;
                most = double.IsNaN(most) ? value : Math.Max(most, value);
                if (x == 0 && y == 0) continue;
                rise += value - centre;
                count++;
            }
        }
        return new Sharpness(most, count == 0 ? double.NaN : rise / count, Curvature(x => loss(x, 0), Step(xs)), ys == null ? null : Curvature(y => loss(0, y), Step(ys)));
    }

    /// <summary>f''(0) ≈ (f(h) − 2·f(0) + f(−h)) / h².</summary>
    public static double Curvature(Func<double, double> f, double h) => (f(h) - (2 * f(0)) + f(-h)) / (h * h);

    private static double Step(IReadOnlyList<double> axis) => axis.Where(v => v > 0).DefaultIfEmpty(double.NaN).Min();
}
