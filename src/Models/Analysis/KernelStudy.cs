using RefConv.Layers;

namespace RefConv.Models.Analysis;

/// <summary>The measures of <see cref="KernelAnalysis"/> over all layers of a model, before and after refocusing.</summary>
public static class KernelStudy
{
    /// <summary>Connection degrees of the refocused layers: the first block of channels that can be connected at all, which are those of one refocus group.</summary>
    /// <param name="layers">Layers of a refocused model.</param>
    /// <param name="channels">Channels shown at most.</param>
    /// <exception cref="ArgumentException">None of them is refocused.</exception>
    public static ConnectionResults Connection(IReadOnlyList<KernelPair> layers, int channels = KernelAnalysis.DefaultChannels)
    {
        var refocused = layers.Where(l => l.Form != null).ToArray();
        if (refocused.Length == 0)
            throw new ArgumentException("Connection degrees are those of refocus weights, and none of these layers is refocused. Give the checkpoint of `refconv refocus` as it was trained, not a merged or plain one.");
        return new ConnectionResults([.. refocused.Select(l => Connection(l.Layer, l.Form!, channels))]);
    }

    /// <summary>Redundancy of the channels.</summary>
    /// <param name="layers">Layers of a model.</param>
    /// <param name="channels">Channels shown at most.</param>
    public static RedundancyResults Redundancy(IReadOnlyList<KernelPair> layers, int channels = KernelAnalysis.DefaultChannels) => new([.. layers.Select(l =>
        new RedundancyLayer(l.Layer, Math.Min(l.After.Out * l.After.GroupIn, channels), l.Before == null ? null : Map(l.Before, channels), Map(l.After, channels),
            Note(l.After.Out * l.After.GroupIn, channels)) { AfterAtEqualSize = AtEqualSize(l, channels) })]);

    /// <summary>Skeletons of the kernels.</summary>
    /// <param name="layers">Layers of a model.</param>
    public static SkeletonResults Skeleton(IReadOnlyList<KernelPair> layers) => new([.. layers.Select(l =>
        new SkeletonLayer(l.Layer, l.After.Height, l.After.Width, l.Before == null ? null : KernelAnalysis.Skeleton(l.Before).Values, KernelAnalysis.Skeleton(l.After).Values))]);

    /// <summary>Effective rank of all channels, cosines between the first ones.</summary>
    /// <param name="layers">Layers of a model.</param>
    /// <param name="channels">Channels that cosines are taken of, at most.</param>
    public static RankResults Rank(IReadOnlyList<KernelPair> layers, int channels = KernelAnalysis.DefaultChannels) => new([.. layers.Select(l =>
        new RankLayer(l.Layer, l.Before == null ? null : KernelAnalysis.EffectiveRank(l.Before), KernelAnalysis.EffectiveRank(l.After),
            l.Before == null ? null : Cosine(l.Before, channels), Cosine(l.After, channels), Math.Min(l.After.Area, l.After.Out * l.After.GroupIn)))]);

    /// <summary>The first kernel channels.</summary>
    /// <param name="layers">Layers of a model.</param>
    /// <param name="channels">Channels shown at most.</param>
    public static KernelResults Kernels(IReadOnlyList<KernelPair> layers, int channels = KernelAnalysis.DefaultChannels) => new([.. layers.Select(l =>
    {
        int count = Math.Min(l.After.Out * l.After.GroupIn, channels);
        return new KernelLayer(l.Layer, l.After.Height, l.After.Width, count, l.Before?.Weight[..(count * l.After.Area)], l.After.Weight[..(count * l.After.Area)]);
    })]);

    private static ConnectionLayer Connection(string name, RefConv2d form, int channels)
    {
        var g = form.Geometry;
        var degree = KernelAnalysis.ConnectionDegree(form, Math.Min(channels, g.Groups));
        if (!degree.Values.All(double.IsFinite))
            throw new ArgumentException($"The refocus weights of '{name}' hold values that are no finite numbers, so there is nothing to measure. Use a checkpoint from before training went wrong.");
        double diagonal = Enumerable.Range(0, degree.Rows).Average(i => degree[i, i]);
        string? note = g.Groups == 1 ? "dense layer: its refocus groups have one member each, so a channel is connected with itself only; one of them is shown" : Note(g.Groups, channels);
        return new ConnectionLayer(name, g.Groups, degree.Rows, degree.Values, diagonal, degree.MeanOffDiagonal(), note);
    }

    /// <summary>The mean divergence of the shown channels after refocusing, scaled to the root mean square that they had before.</summary>
    private static double? AtEqualSize(KernelPair pair, int channels)
    {
        if (pair.Before == null) return null;
        int count = Math.Min(pair.After.Out * pair.After.GroupIn, channels) * pair.After.Area;
        double before = pair.Before.Weight.Take(count).Sum(w => w * w), after = pair.After.Weight.Take(count).Sum(w => w * w);
        if (after == 0) return null;
        double scale = Math.Sqrt(before / after);
        return KernelAnalysis.Redundancy(pair.After with { Weight = [.. pair.After.Weight.Select(w => w * scale)] }, channels).MeanOffDiagonal();
    }

    private static RedundancyMap Map(Kernel kernel, int channels)
    {
        var map = KernelAnalysis.Redundancy(kernel, channels);
        return new RedundancyMap(map.MeanOffDiagonal(), map.Values);
    }

    private static double Cosine(Kernel kernel, int channels)
    {
        var cosines = KernelAnalysis.CosineSimilarity(kernel, channels);
        return (cosines with { Values = [.. cosines.Values.Select(Math.Abs)] }).MeanOffDiagonal();
    }

    private static string? Note(int there, int channels) => there == 1 ? "a single channel: there is no other to compare it with"
        : there < channels ? $"fewer than {channels} channels: all {there} are shown" : null;
}
