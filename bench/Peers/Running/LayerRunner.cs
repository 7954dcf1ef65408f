using RefConv.Bench.Peers;
using RefConv.Kernels;

namespace RefConv.Bench;

/// <summary>Runs layer cases. The three directions of a shape follow each other and share their operands.</summary>
internal sealed class LayerRunner(Device device, PeerSet peers, RoundPlan plan, CancellationToken cancellation) : IDisposable
{
    /// <summary>Largest difference allowed between two engines' results, relative to the largest value: they add in different orders.</summary>
    private const double Tolerance = 1e-4;

    /// <summary>A layer warms up in a tenth of a second: the runtime has compiled the kernels before, see <see cref="CompileAhead"/>.</summary>
    private const double WarmUpMs = 100;

    private readonly string _folder = Directory.CreateTempSubdirectory("refconv-bench-").FullName;
    private OwnLayer? _own;
    private Conv2dGeometry _loaded;
    private string[] _variants = [];
    private bool _compiled;

    /// <exception cref="DisagreementException">The engines do not compute the same.</exception>
    public BenchResult Run(LayerCase row)
    {
        CompileAhead();
        Load(row.Geometry);
        double? difference = peers.Torch is { } torch ? Compare(row, torch) : null;
        var ours = new Contestant(row.Op, new Series("refconv"), null, times => RunOwn(row, times));
        var theirs = _variants.Select(v => new Contestant(row.Op, new Series(v), CaseClass.PyTorch, times => peers.Torch!.Run(row.Op, v, times)));
        var rounds = new Rounds(peers.Workers, device.Threads, cancellation);
        var contestants = rounds.Prepare([ours, .. theirs], plan.SampleMs, WarmUpMs);
        var surroundings = rounds.Run(contestants, plan);
        return new BenchResult(row, ours.Series, peers.Torch?.Name, [.. contestants.Where(c => c.Peer != null).Select(c => c.Series)])
        {
            Flops = row.Flops, Bytes = row.Bytes, Difference = difference, Surroundings = surroundings,
        };
    }

    public void Dispose()
    {
        Unload();
        Directory.Delete(_folder, recursive: true);
    }

    private void Load(in Conv2dGeometry g)
    {
        if (_own != null && g == _loaded) return;
        Unload();
        (_own, _loaded) = (new OwnLayer(device, g), g);
        if (peers.Torch == null) return;
        string file = Path.Combine(_folder, "operands");
        _own.Save(file);
        _variants = peers.Torch.LoadLayer(g, file);
        File.Delete(file);
    }

    private void Unload()
    {
        if (_own == null) return;
        _own.Dispose();
        _own = null;
        peers.Torch?.Unload();
    }

    private double RunOwn(LayerCase row, int times)
    {
        using var accuracy = new AccuracySetting(device, row.Accuracy);
        return _own!.Run(row.Direction, row.Packed, times);
    }

    /// <summary>The largest difference of any element, relative to the largest value.</summary>
    private double Compare(LayerCase row, TorchWorker torch)
    {
        string file = Path.Combine(_folder, "result");
        torch.LayerResult(row.Op, file);
        var theirs = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(file));
        File.Delete(file);
        using var accuracy = new AccuracySetting(device, row.Accuracy);
        float[] ours = _own!.Result(row.Direction, row.Packed);
        if (ours.Length != theirs.Length) throw new DisagreementException($"{row.Title}: the result has {ours.Length} elements here and {theirs.Length} in PyTorch.");
        double largest = 0, worst = 0;
        for (int i = 0; i < ours.Length; i++)
        {
            largest = Math.Max(largest, Math.Abs((double)theirs[i]));
            double difference = Math.Abs((double)ours[i] - theirs[i]);
            // A NaN on either side is the worst there is, and must not be lost again.
            worst = double.IsNaN(difference) ? double.PositiveInfinity : Math.Max(worst, difference);
        }
        if (!(worst <= Tolerance * largest))
            throw new DisagreementException($"{row.Title}: the engines do not compute the same: {worst:G3} apart where the largest value is {largest:G3}.");
        return worst / largest;
    }

    /// <summary>
    /// The runtime compiles a method well when it was called 30 times, in the background: so a small shape of every kind is computed that often,
    /// once, before any clock runs.
    /// </summary>
    private void CompileAhead()
    {
        if (_compiled) return;
        _compiled = true;
        Conv2dGeometry[] kinds =
        [
            Small(64, 64, 3, 1, 1), Small(64, 64, 3, 2, 1), Small(3, 32, 7, 2, 1), Small(64, 64, 1, 1, 1), Small(40, 24, 1, 1, 1), Small(64, 64, 3, 1, 4),
            Small(64, 64, 3, 1, 64), Small(64, 64, 3, 2, 64), Small(40, 40, 5, 1, 40), Small(64, 64, 5, 2, 64), Small(64, 64, 7, 1, 64),
        ];
        foreach (var kind in kinds)
        {
            using var layer = new OwnLayer(device, kind);
            foreach (var direction in Enum.GetValues<Conv2dDirection>())
            {
                layer.Run(direction, packed: false, 40);
                using var accuracy = new AccuracySetting(device, Conv2dAccuracy.Fast);
                layer.Run(direction, packed: false, 40);
            }
            layer.Run(Conv2dDirection.Forward, packed: true, 40);
        }
        Thread.Sleep(200); // the compiler waits a tenth of a second for calls to stop coming

        static Conv2dGeometry Small(int c, int k, int size, int stride, int groups) => new(1, 9, 9, c, k, size, size)
        {
            StrideH = stride, StrideW = stride, PadTop = size / 2, PadBottom = size / 2, PadLeft = size / 2, PadRight = size / 2, Groups = groups,
        };
    }
}
