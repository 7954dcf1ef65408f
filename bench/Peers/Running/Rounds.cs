using System.Diagnostics;
using RefConv.Bench.Peers;

namespace RefConv.Bench;

/// <summary>One way to do the work, under the clock.</summary>
/// <param name="Form">Which of a case's forms; plain or refconv.</param>
/// <param name="Series">Its samples.</param>
/// <param name="Peer">Whose it is: null for ours.</param>
/// <param name="Run">Does the work so many times; milliseconds of one.</param>
internal sealed record Contestant(string Form, Series Series, string? Peer, Func<int, double> Run)
{
    /// <summary>Steps in a sample.</summary>
    public int Times { get; set; } = 1;

    /// <summary>Milliseconds of one step at the end of the warm-up.</summary>
    public double Once { get; set; }
}

/// <summary>What the machine was like meanwhile.</summary>
/// <param name="Quiet">The samples are of rounds in which nobody else used the machine; false: there were not enough of those.</param>
/// <param name="Others">Share of the machine's processor time that went to other processes in these rounds; NaN where unknown.</param>
/// <param name="ProcessorTime">The clock was processor time (one thread), see <see cref="Clock"/>: then others hardly matter and all rounds count.</param>
internal readonly record struct Surroundings(bool Quiet, double Others, bool ProcessorTime)
{
    /// <summary>The figures cannot be trusted.</summary>
    public bool Disturbed => !Quiet && !ProcessorTime;
}

/// <summary>How long to measure.</summary>
/// <param name="Count">Samples of each contestant wanted, in rounds in which nobody else used the machine.</param>
/// <param name="Budget">How long to go on for them.</param>
/// <param name="SampleMs">Length of a sample: cheap work is repeated until it takes as long.</param>
internal readonly record struct RoundPlan(int Count, TimeSpan Budget, double SampleMs);

/// <summary>Times contestants in turn, sample by sample, so that all of them see the same machine.</summary>
/// <param name="workers">The peers' processes, whose processor time is not somebody else's.</param>
/// <param name="threads">Threads of every engine.</param>
/// <param name="cancellation">Ends the run after the sample.</param>
internal sealed class Rounds(IReadOnlyList<PeerWorker> workers, int threads, CancellationToken cancellation)
{
    /// <summary>A round is quiet when other processes took at most this share of the processors, and so many quiet rounds make a result.</summary>
    private const double QuietShare = 0.03;
    private const int FewestQuiet = 3;

    /// <summary>
    /// A sample begins when the other engine's threads, which spin for some milliseconds in case more work comes, have gone to sleep.
    /// </summary>
    private const int PauseMs = 20;

    /// <summary>A peer's way that took so much longer than its best one in the warm-up is not timed further: only the best one counts.</summary>
    private const double Hopeless = 1.6;

    /// <summary>Warms everybody up and finds how many steps make a sample; leaves out a peer's hopeless ways.</summary>
    public List<Contestant> Prepare(IEnumerable<Contestant> all, double sampleMs, double? warmUpMs = null)
    {
        List<Contestant> contestants = [.. all];
        foreach (var contestant in contestants)
        {
            cancellation.ThrowIfCancellationRequested();
            Thread.Sleep(PauseMs);
            contestant.Once = (contestant.Peer, warmUpMs) switch
            {
                (null, null) => WarmUp.Own(contestant.Run),
                (null, { } ms) => WarmUp.Own(contestant.Run, ms),
                (_, null) => WarmUp.Peer(contestant.Run),
                (_, { } ms) => WarmUp.Peer(contestant.Run, ms),
            };
            contestant.Times = Math.Max(1, (int)Math.Round(sampleMs / contestant.Once));
        }
        return [.. contestants.Where(c => c.Peer == null || c.Once <= Hopeless * contestants.Where(o => o.Peer == c.Peer && o.Form == c.Form).Min(o => o.Once))];
    }

    /// <summary>
    /// Rounds until enough of them were quiet, or the time is up. Then only the quiet ones count; all of them, if there are next to none.
    /// </summary>
    public Surroundings Run(List<Contestant> contestants, RoundPlan plan)
    {
        long started = Stopwatch.GetTimestamp();
        bool processorTime = Clock.IsProcessorTime(threads);
        List<double> others = [];
        while (others.Count < plan.Count || (!processorTime && others.Count(IsQuiet) < plan.Count && Stopwatch.GetElapsedTime(started) < plan.Budget))
        {
            cancellation.ThrowIfCancellationRequested();
            var load = OtherLoad.Start(workers);
            RunRound(contestants, others.Count, plan.SampleMs);
            others.Add(load.CertainShare());
        }
        bool quiet = others.Count(IsQuiet) >= Math.Min(FewestQuiet, plan.Count);
        if (!quiet || processorTime) return new(quiet, others.Average(), processorTime);
        foreach (var contestant in contestants)
        {
            double[] kept = [.. contestant.Series.Samples.Where((_, round) => IsQuiet(others[round]))];
            contestant.Series.Samples.Clear();
            contestant.Series.Samples.AddRange(kept);
        }
        return new(true, others.Where(IsQuiet).Average(), false);

        static bool IsQuiet(double share) => !(share > QuietShare); // where it is unknown, all count
    }

    /// <summary>One sample of everybody; every round begins with another contestant, so nobody always follows the same one.</summary>
    private static void RunRound(List<Contestant> contestants, int round, double sampleMs)
    {
        for (int i = 0; i < contestants.Count; i++)
        {
            var contestant = contestants[(round + i) % contestants.Count];
            Thread.Sleep(PauseMs);
            double ms = contestant.Run(contestant.Times);
            contestant.Series.Samples.Add(ms);
            // On a machine that has become busy threads wait for each other, and what took a moment can take a second.
            if (ms * contestant.Times > 4 * sampleMs) contestant.Times = Math.Max(1, (int)(sampleMs / ms));
        }
    }
}
