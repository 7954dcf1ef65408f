using System.Diagnostics;
using RefConv.Kernels;

namespace RefConv.Bench.Peers;

/// <summary>Times of one way to do the work, a sample a round: milliseconds of one step.</summary>
/// <param name="Name">Memory format, and for inference eager or frozen.</param>
internal sealed record Series(string Name)
{
    public List<double> Samples { get; } = [];

    public double Median => Statistics.Quantile(Samples, 0.5);

    public double Fastest => Samples.Min();
}

/// <summary>Result of one form of a case.</summary>
/// <param name="Case">The case.</param>
/// <param name="Form">plain or refconv.</param>
/// <param name="Ours">Our times.</param>
/// <param name="Theirs">PyTorch's, in every way it can run the work.</param>
/// <param name="Difference">How far the two engines' losses or scores are apart on the same weights.</param>
/// <param name="Quiet">The samples are of rounds in which nobody else used the machine; false: there were not enough of those.</param>
/// <param name="Others">Share of the machine's processor time that went to other processes in these rounds; NaN where unknown.</param>
internal sealed record DuelResult(PeerCase Case, string Form, Series Ours, IReadOnlyList<Series> Theirs, double Difference, bool Quiet, double Others)
{
    /// <summary>PyTorch at its best.</summary>
    public Series Best => Theirs.MinBy(s => s.Median)!;

    /// <summary>
    /// Theirs over ours, round by round: above 1 we are faster. The samples of one round lie within moments of each other, so a busy
    /// neighbour that comes and goes hits both, and the quotient says more than that of two medians.
    /// </summary>
    public double[] Ratios => Statistics.Ratios(Best, Ours);
}

/// <summary>Times both engines on a case, alternating sample by sample so that both see the same machine.</summary>
/// <param name="device">Our device.</param>
/// <param name="worker">Theirs.</param>
/// <param name="rounds">Samples of each contestant wanted, in rounds in which nobody else used the machine.</param>
/// <param name="budget">How long to go on for them.</param>
internal sealed class Duel(Device device, TorchWorker worker, int rounds, TimeSpan budget)
{
    /// <summary>A round is quiet when other processes took at most this share of the processors, and so many quiet rounds make a result.</summary>
    private const double QuietShare = 0.03;
    private const int FewestQuiet = 3;

    private const double SampleMs = 150;

    /// <summary>
    /// A sample begins when the other engine's threads, which spin for some milliseconds in case more work comes, have gone to sleep.
    /// </summary>
    private const int PauseMs = 20;

    /// <summary>
    /// Largest differences allowed, relative: of a loss or score; and of a gradient, which 27 batch norms over nearly constant channels have
    /// amplified (PyTorch's own figures in float32 and float64 are up to 0.026 apart). A wrong gradient is wrong by its own size.
    /// </summary>
    private const double ValueTolerance = 1e-4, GradientTolerance = 0.1;

    private sealed record Contestant(string Form, Series Series, bool IsOurs, Func<int, double> Run)
    {
        public int Times { get; set; } = 1;
    }

    /// <summary>Runs a case.</summary>
    /// <exception cref="InvalidOperationException">The engines do not compute the same.</exception>
    public IReadOnlyList<DuelResult> Run(PeerCase row)
    {
        string folder = Directory.CreateTempSubdirectory("refconv-bench-").FullName;
        List<OwnEngine> engines = [];
        try
        {
            List<Contestant> contestants = [];
            Dictionary<string, double> differences = [];
            foreach (string form in row.Forms)
            {
                var own = new OwnEngine(row, form, device);
                engines.Add(own);
                string file = Path.Combine(folder, form + ".safetensors");
                own.Save(file);
                string[] variants = worker.Load(row, form, file);
                differences[form] = Compare(row, form, own.Check(), worker.Check(form));
                contestants.Add(new Contestant(form, new Series("refconv"), true, own.Run));
                contestants.AddRange(variants.Select(v => new Contestant(form, new Series(v), false, times => worker.Run(form, v, times))));
            }
            foreach (var contestant in contestants) WarmUp(contestant);
            var (quiet, others) = RunRounds(contestants);
            return [.. row.Forms.Select(form => new DuelResult(row, form, contestants.Single(c => c.IsOurs && c.Form == form).Series,
                [.. contestants.Where(c => !c.IsOurs && c.Form == form).Select(c => c.Series)], differences[form], quiet, others))];
        }
        finally
        {
            foreach (var engine in engines) engine.Dispose();
            worker.Unload();
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>
    /// Rounds until enough of them were quiet, or the time is up. Then only the quiet ones count; all of them, if there are next to none.
    /// </summary>
    private (bool Quiet, double Others) RunRounds(List<Contestant> contestants)
    {
        long started = Stopwatch.GetTimestamp();
        List<double> others = [];
        while (others.Count < rounds || (others.Count(IsQuiet) < rounds && Stopwatch.GetElapsedTime(started) < budget))
        {
            var load = OtherLoad.Start(worker);
            RunRound(contestants, others.Count);
            others.Add(load.Share());
        }
        bool quiet = others.Count(IsQuiet) >= Math.Min(FewestQuiet, rounds);
        if (!quiet) return (false, others.Average());
        foreach (var contestant in contestants)
        {
            double[] kept = [.. contestant.Series.Samples.Where((_, round) => IsQuiet(others[round]))];
            contestant.Series.Samples.Clear();
            contestant.Series.Samples.AddRange(kept);
        }
        return (true, others.Where(IsQuiet).Average());

        static bool IsQuiet(double share) => !(share > QuietShare); // where it is unknown, all count
    }

    /// <summary>One sample of everybody; every round begins with another contestant, so nobody always follows the same one.</summary>
    private static void RunRound(List<Contestant> contestants, int round)
    {
        for (int i = 0; i < contestants.Count; i++)
        {
            var contestant = contestants[(round + i) % contestants.Count];
            Thread.Sleep(PauseMs);
            contestant.Series.Samples.Add(contestant.Run(contestant.Times));
        }
    }

    /// <summary>Runs until memory is pooled and code compiled, and finds how many steps make a sample.</summary>
    private static void WarmUp(Contestant contestant) =>
        contestant.Times = Math.Max(1, (int)Math.Round(SampleMs / OwnEngine.WarmUp(contestant.Run, contestant.IsOurs)));

    /// <summary>The largest relative difference of loss or scores.</summary>
    private static double Compare(PeerCase row, string form, Dictionary<string, CheckedValue> ours, Dictionary<string, double> theirs)
    {
        if (!ours.Keys.ToHashSet().SetEquals(theirs.Keys))
            throw new InvalidOperationException($"{row.Name} ({form}): the engines do not train the same parameters. In one only: {string.Join(", ", ours.Keys.Except(theirs.Keys).Concat(theirs.Keys.Except(ours.Keys)))}.");
        double worst = 0;
        foreach (var (name, our) in ours)
        {
            bool isGradient = name.StartsWith("gradient", StringComparison.Ordinal);
            double difference = Math.Abs(our.Value - theirs[name]) / our.Scale, allowed = isGradient ? GradientTolerance : ValueTolerance;
            if (!(difference <= allowed))
                throw new InvalidOperationException($"{row.Name} ({form}): the engines do not compute the same: {name} is {our.Value:G7} here and {theirs[name]:G7} in PyTorch, {difference:G2} of {our.Scale:G3} (allowed: {allowed:G1}).");
            if (!isGradient) worst = Math.Max(worst, difference);
        }
        return worst;
    }
}

/// <summary>Order statistics.</summary>
internal static class Statistics
{
    /// <summary>Quantile with linear interpolation between neighbours.</summary>
    public static double Quantile(IEnumerable<double> values, double q)
    {
        double[] sorted = [.. values.Order()];
        double place = q * (sorted.Length - 1);
        int below = (int)place;
        return below + 1 < sorted.Length ? sorted[below] + ((place - below) * (sorted[below + 1] - sorted[below])) : sorted[below];
    }

    /// <summary>Quotients of the samples of the same rounds.</summary>
    public static double[] Ratios(Series numerator, Series denominator) => [.. numerator.Samples.Zip(denominator.Samples, (n, d) => n / d)];
}
