namespace RefConv.Bench;

/// <summary>What came of a case, alone or beside one peer.</summary>
/// <param name="Case">The case.</param>
/// <param name="Ours">Our samples: milliseconds, of memory megabytes.</param>
/// <param name="Peer">The peer, or null.</param>
/// <param name="Theirs">The peer's samples, in every way it can do the work.</param>
internal sealed record BenchResult(BenchCase Case, Series Ours, string? Peer, IReadOnlyList<Series> Theirs)
{
    /// <summary>Operations of one step; 0 where counting them makes no sense.</summary>
    public double Flops { get; init; }

    /// <summary>Bytes that must move; 0 where only operations are counted.</summary>
    public double Bytes { get; init; }

    /// <summary>How far the two engines' results are apart, relative to the largest value; null without a peer.</summary>
    public double? Difference { get; init; }

    /// <summary>What the machine was like; null where that cannot be told.</summary>
    public Surroundings? Surroundings { get; init; }

    /// <summary>Of a refocus case, the plain form's samples of both sides; <see cref="Ours"/> and <see cref="Theirs"/> are then the RefConv form's.</summary>
    public BenchResult? Plain { get; init; }

    /// <summary>More figures, by their name in JSON.</summary>
    public IReadOnlyList<(string Name, double Value)> Notes { get; init; } = [];

    /// <summary>Megabytes, not milliseconds.</summary>
    public bool IsMemory => Case.Class is CaseClass.Memory or CaseClass.MemorySaved;

    /// <summary>The class of the result.</summary>
    public string Class => CaseClass.Of(Case.Class, Peer);

    /// <summary>The peer at its best.</summary>
    public Series? Best => Theirs.MinBy(s => s.Median);

    /// <summary>
    /// Theirs over ours, round by round: above 1 we are faster. The samples of one round lie within moments of each other, so a busy
    /// neighbour that comes and goes hits both, and the quotient says more than that of two medians.
    /// </summary>
    public double[] Ratios => Best == null ? [] : Statistics.Ratios(Best, Ours);

    /// <summary>Median of <see cref="Ratios"/>; null without a peer.</summary>
    public double? Ratio => Best == null ? null : Statistics.Quantile(Ratios, 0.5);

    /// <summary>Our RefConv step over our plain step.</summary>
    public double? Overhead => Plain == null ? null : Statistics.Quantile(Statistics.Ratios(Ours, Plain.Ours), 0.5);

    /// <summary>The peer's.</summary>
    public double? PeerOverhead => Plain?.Best is { } plain && Best is { } best ? Statistics.Quantile(Statistics.Ratios(best, plain), 0.5) : null;

    /// <summary>10⁹ operations a second.</summary>
    public double? GigaFlops => Flops > 0 && !IsMemory ? Flops / Ours.Median / 1e6 : null;

    /// <summary>Share of what the machine could do, see <see cref="Ceilings.Share"/>.</summary>
    public double? CeilingShare(in Ceilings ceilings) => GigaFlops == null ? null : ceilings.Share(Flops, Bytes, Ours.Median);
}
