namespace RefConv.Bench;

/// <summary>What was asked for on the command line.</summary>
internal sealed record BenchSettings
{
    /// <summary>Cases whose title contains this.</summary>
    public string Only { get; init; } = "";

    /// <summary>Cases of this class; null for all.</summary>
    public string? Class { get; init; }

    /// <summary>Threads of every engine; 0 for all cores.</summary>
    public int Threads { get; init; }

    /// <summary>Quiet rounds wanted; 0 for as many as suits the kind of case.</summary>
    public int Rounds { get; init; }

    /// <summary>Seconds a case may go on for quiet rounds; 0 for what suits it.</summary>
    public int Budget { get; init; }

    public bool Quick { get; init; }

    public bool Peers { get; init; }

    public bool Json { get; init; }

    /// <summary>File for the results, .md or .json; null for none.</summary>
    public string? Out { get; init; }

    public bool List { get; init; }

    public bool Explain { get; init; }

    public bool Profile { get; init; }

    public bool Shapes { get; init; }

    public string Python { get; init; } = "python3";

    public string Node { get; init; } = "node";

    public string? NodeModules { get; init; }

    /// <summary>How to call the machine in the results.</summary>
    public string Machine { get; init; } = "";

    /// <summary>The layer cases are many and short.</summary>
    public RoundPlan LayerPlan => new(Rounds > 0 ? Rounds : Quick ? 5 : 7, TimeSpan.FromSeconds(Budget > 0 ? Budget : Quick ? 1 : 3), SampleMs: 12);

    public RoundPlan ModelPlan => new(Rounds > 0 ? Rounds : Quick ? 3 : 7, TimeSpan.FromSeconds(Budget > 0 ? Budget : Quick ? 4 : 20), SampleMs: 150);

    /// <summary>Processes are started so many times.</summary>
    public int Starts => Rounds > 0 ? Rounds : Quick ? 2 : 5;

    /// <summary>The command that does it again.</summary>
    public string Command => string.Join(" ", new[]
    {
        Peers ? "--peers" : "", Quick ? "--quick" : "", Class == null ? "" : $"--class {Class}", Only.Length == 0 ? "" : $"--only {Only}", $"--threads {Threads}",
        Rounds > 0 ? $"--rounds {Rounds}" : "", Budget > 0 ? $"--budget {Budget}" : "",
    }.Where(part => part.Length > 0));

    /// <exception cref="ArgumentException">Something makes no sense.</exception>
    public void Check()
    {
        if (Threads is < 0 or > 1024) throw new ArgumentException($"--threads must be between 0 (all cores) and 1024; it is {Threads}.");
        if (Rounds < 0) throw new ArgumentException($"--rounds must be at least 1, or 0 for what suits the case; it is {Rounds}.");
        if (Budget < 0) throw new ArgumentException($"--budget must be at least 1 second, or 0 for what suits the case; it is {Budget}.");
        if (Out == null) return;
        if (Path.GetExtension(Out) is not (".md" or ".json")) throw new ArgumentException($"The name of the results file must end in .md (tables) or .json (all figures); it is '{Out}'.");
        if (Directory.Exists(Out)) throw new ArgumentException($"'{Out}' is a folder. Give the name of the file to write.");
        if (Path.GetDirectoryName(Path.GetFullPath(Out)) is { } folder && !Directory.Exists(folder)) throw new ArgumentException($"'{Out}' cannot be written: there is no folder '{folder}'.");
    }
}
