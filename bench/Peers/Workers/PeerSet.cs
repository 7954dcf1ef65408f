namespace RefConv.Bench.Peers;

/// <summary>The peers that take part.</summary>
internal sealed class PeerSet : IDisposable
{
    private readonly WorkerScripts? _scripts;

    private PeerSet(WorkerScripts? scripts, BenchSettings settings) => (_scripts, Settings) = (scripts, settings);

    /// <summary>None.</summary>
    public static PeerSet None { get; } = new(null, new BenchSettings());

    public TorchWorker? Torch { get; private set; }

    public OrtWorker? Ort { get; private set; }

    /// <summary>The one peer whose comparisons are wanted; null for all.</summary>
    public string? Only { get; private init; }

    /// <summary>Where Python and Node are.</summary>
    public BenchSettings Settings { get; }

    /// <summary>The running processes.</summary>
    public IReadOnlyList<PeerWorker> Workers => [.. new PeerWorker?[] { Torch, Ort }.OfType<PeerWorker>()];

    /// <summary>The workers' programs.</summary>
    public WorkerScripts Scripts => _scripts!;

    /// <summary>Whether a comparison with this peer was asked for.</summary>
    public bool Counts(BenchCase row, string? peer) => Only == null || Only == peer || row.Class is not (CaseClass.Infer or CaseClass.StartUp);

    /// <summary>
    /// Starts what the cases need. ONNX Runtime is only for inference, and gets its models from PyTorch; without it the comparison goes on with
    /// PyTorch alone, unless it was what was asked for.
    /// </summary>
    /// <exception cref="PeerMissingException">A peer that cannot be done without is not installed.</exception>
    public static PeerSet Start(BenchSettings settings, CaseClass? wanted, IReadOnlyList<BenchCase> cases, int threads, Action<string> say)
    {
        var peers = new PeerSet(new WorkerScripts(), settings) { Only = wanted?.Peer };
        try
        {
            peers.Torch = TorchWorker.Start(settings.Python, peers.Scripts.Torch, threads);
            if (!peers.Torch.HasOpenBlas)
                say($"PyTorch does not run on OpenBLAS but on {peers.Torch.Hello["blas"]}; if that is the reference BLAS the figures flatter us. {TorchWorker.InstallCommand}");
            if (wanted?.Peer == CaseClass.PyTorch || !cases.Any(c => c.Class is CaseClass.Infer or CaseClass.StartUp)) return peers;
            try
            {
                peers.Ort = OrtWorker.Start(settings.Node, peers.Scripts.OnnxRuntime, settings.NodeModules, threads);
            }
            catch (PeerMissingException e) when (wanted?.Peer != CaseClass.OnnxRuntime)
            {
                say(e.Message + " Going on with PyTorch alone.");
            }
            return peers;
        }
        catch
        {
            peers.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        foreach (var worker in Workers) worker.Dispose();
        _scripts?.Dispose();
    }
}
