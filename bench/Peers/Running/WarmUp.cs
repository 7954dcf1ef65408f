namespace RefConv.Bench;

/// <summary>Running until nothing gets faster by itself any more.</summary>
internal static class WarmUp
{
    /// <summary>
    /// The runtime compiles a method quickly at first, and well when it was called 30 times: a kernel that a step calls once gets there after
    /// 30 steps and until then can be ten times slower. Large models get there in fewer steps, and <see cref="ModelRunner"/> runs small ones before.
    /// </summary>
    private const int Steps = 40, FewestSteps = 5, PeerSteps = 3;
    private const double MostMs = 1500, PeerMs = 600;

    /// <summary>Our side; milliseconds of one step at the end.</summary>
    public static double Own(Func<int, double> run, double most = MostMs)
    {
        double spent = 0, fastest = double.MaxValue;
        for (int i = 0; i < Steps && (spent < most || i < FewestSteps); i++)
        {
            double once = run(1);
            spent += once;
            fastest = Math.Min(fastest, once);
        }
        return fastest;
    }

    /// <summary>A peer: it does not compile as it runs, but pools memory, and its frozen models specialise in their first runs.</summary>
    public static double Peer(Func<int, double> run, double most = PeerMs)
    {
        double spent = 0, fastest = double.MaxValue;
        for (int i = 0; i < PeerSteps || (spent < most && i < Steps); i++)
        {
            double once = run(1);
            spent += once;
            fastest = Math.Min(fastest, once);
        }
        return fastest;
    }
}
