using System.Diagnostics;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Models.Analysis;

/// <summary>Which part of the plane around a model's weights is looked at, and how finely.</summary>
public sealed record LandscapeOptions
{
    /// <summary>Whose landscape it is, for people.</summary>
    public string Name { get; init; } = "model";

    /// <summary>Points along an axis: odd, so that the weights themselves are one of them.</summary>
    public int Points { get; init; } = 25;

    /// <summary>From −range to range in multiples of a direction; for a path, of 1.2 times its extent.</summary>
    public double Range { get; init; } = 1;

    /// <summary>One dimension instead of two.</summary>
    public bool Line { get; init; }

    /// <summary>Seed of random directions: models of the same shapes are moved the same way.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>The directions of a training path instead of random ones.</summary>
    public PathDirections? Path { get; init; }
}

/// <summary>
/// The loss around a model's weights (Li et al., arXiv 1712.09913): mean cross-entropy on the same pictures at every point of a grid in a plane or on a line.
/// Norms and biases stay, and batch norms use their running statistics.
/// </summary>
public static class LossLandscape
{
    /// <summary>How far beyond the path the plane goes.</summary>
    private const double Margin = 1.2;

    /// <summary>Computes a landscape. The model is left as it was.</summary>
    /// <param name="model">In any form; a merged one is what runs in the end.</param>
    /// <param name="data">Pictures, all of which are used at every point.</param>
    /// <param name="options">Directions and points.</param>
    /// <param name="partFile">Where points are kept as they come, so that a landscape that was stopped goes on, to the same bits; null for nowhere.</param>
    /// <param name="progress">Told points done and points in all.</param>
    /// <param name="cancellation">Stops between points; what was computed is kept.</param>
    /// <exception cref="ArgumentException">Options, pictures or weights make no sense.</exception>
    /// <exception cref="IOException">The part file is damaged or belongs to another landscape.</exception>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static LandscapeSurface Compute(Model model, IImageDataset data, LandscapeOptions options, string? partFile = null, Action<int, int>? progress = null, CancellationToken cancellation = default)
    {
        Check(model, data, options);
        var (x, y) = options.Path is { } path
            ? (path.X, options.Line ? null : path.Y ?? throw new ArgumentException("The training path is a straight line, so it has one direction only. Ask for one dimension."))
            : (LandscapeDirection.Random(model, options.Seed, 0), options.Line ? null : LandscapeDirection.Random(model, options.Seed, 1));
        double[] xs = Axis(options.Points, options.Range * Extent(options.Path, 0)), ys = options.Line ? [0] : Axis(options.Points, options.Range * Extent(options.Path, 1));
        using var moving = new MovingModel(model, data, x, y);
        var part = Fill(moving, xs, ys, partFile, progress, cancellation);
        return Surface(options, part);
    }

    /// <summary>Computes the points that are not there yet, keeping them.</summary>
    private static LandscapePart Fill(MovingModel moving, double[] xs, double[] ys, string? partFile, Action<int, int>? progress, CancellationToken cancellation)
    {
        string fingerprint = moving.Fingerprint();
        var part = partFile != null && File.Exists(partFile) ? LandscapePart.Read(partFile, fingerprint, xs, ys) : new LandscapePart(fingerprint, xs, ys, [], []);
        List<double> loss = [.. part.Loss], accuracy = [.. part.Accuracy];
        int total = xs.Length * ys.Length;
        long saved = Stopwatch.GetTimestamp();
        progress?.Invoke(loss.Count, total);
        while (loss.Count < total)
        {
            if (cancellation.IsCancellationRequested)
            {
                Save();
                throw new OperationCanceledException(cancellation);
            }
            var point = moving.At(xs[loss.Count % xs.Length], ys[loss.Count / xs.Length]);
            loss.Add(point.Loss);
            accuracy.Add(point.Accuracy);
            // At the end of a row, and sooner where a row takes long.
            if (loss.Count % xs.Length == 0 || Stopwatch.GetElapsedTime(saved).TotalSeconds > 10) Save();
            progress?.Invoke(loss.Count, total);
        }
        return part with { Loss = [.. loss], Accuracy = [.. accuracy] };

        void Save()
        {
            if (partFile != null) (part with { Loss = [.. loss], Accuracy = [.. accuracy] }).Save(partFile);
            saved = Stopwatch.GetTimestamp();
        }
    }

    private static LandscapeSurface Surface(LandscapeOptions options, LandscapePart part)
    {
        double[]? ys = options.Line ? null : part.Ys;
        // A path has its own unit, so all that was computed is its box.
        var sharpness = Sharpness.Of((x, y) => part.Loss[(Nearest(part.Ys, y) * part.Xs.Length) + Nearest(part.Xs, x)], part.Xs, ys, options.Path == null ? 1 : double.PositiveInfinity);
        double[][]? path = options.Path == null ? null : [.. options.Path.Coordinates.Select(c => new[] { c.X, options.Line ? 0 : c.Y })];
        return new LandscapeSurface(options.Name, options.Path == null ? "filter-normalised random" : "pca", options.Seed, part.Xs, ys, part.Loss, part.Accuracy, path,
            options.Path == null ? null : [.. options.Path.Explained], part.Loss[(Nearest(part.Ys, 0) * part.Xs.Length) + Nearest(part.Xs, 0)], sharpness);
    }

    private static void Check(Model model, IImageDataset data, LandscapeOptions options)
    {
        Evaluator.CheckFits(model, data);
        if (options.Points < 3 || options.Points % 2 == 0)
            throw new ArgumentException($"A landscape needs an odd number of points along an axis, at least 3; it is {options.Points}. With an even one the weights themselves would be none of them.");
        if (!(options.Range > 0) || !double.IsFinite(options.Range)) throw new ArgumentException($"The range of a landscape must be above 0; it is {options.Range}.");
        foreach (var (name, parameter) in model.NamedParameters())
        {
            if (!parameter.ToArray().All(float.IsFinite))
                throw new ArgumentException($"'{name}' holds values that are no finite numbers, so the loss is none anywhere. Use a checkpoint from before training went wrong.");
        }
        if (!model.NamedParameters().Any(p => LandscapeDirection.Moves(p.Parameter))) throw new ArgumentException("The model has no weights with more than one axis, so there is nothing to move.");
    }

    /// <summary>Values from −range to range, the middle one exactly 0 and each the negative of its mirror image.</summary>
    private static double[] Axis(int points, double range) => [.. Enumerable.Range(0, points).Select(i => (i - (points / 2)) * range / (points / 2))];

    private static double Extent(PathDirections? path, int axis)
    {
        if (path == null) return 1;
        double extent = path.Coordinates.Max(c => Math.Abs(axis == 0 ? c.X : c.Y));
        return extent > 0 ? Margin * extent : 1;
    }

    private static int Nearest(double[] axis, double value) => Enumerable.Range(0, axis.Length).MinBy(i => Math.Abs(axis[i] - value));
}
