using System.CommandLine;
using RefConv.Kernels;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Cli;

/// <summary>Options of commands that train a table of rows, seed by seed (<c>compare</c>, <c>ablate</c>).</summary>
internal sealed class TableOptions
{
    private readonly string _kind;
    private readonly Option<string?> _recipeFile = RecipeOptions.File(), _outFolder;
    private readonly Option<string> _data = Options.Data();
    private readonly Option<double> _width = Options.Width();
    private readonly Option<int?> _limit = Options.Limit(), _testLimit = Options.TestLimit();
    private readonly Option<int> _seeds = Options.Seeds();
    private readonly Option<bool> _json = Options.Json();
    private readonly RecipeOptions _recipe;
    private readonly DeviceOptions _device;

    /// <param name="command">Gets the options.</param>
    /// <param name="files">The command's own files, beside report.html.</param>
    /// <param name="own">The command's own options: what is in the table.</param>
    public TableOptions(Command command, string files, params ReadOnlySpan<Option> own)
    {
        _kind = command.Name;
        _outFolder = Options.Out($"Folder for the runs, {files} and report.html. Default: a new folder runs/{_kind}-N.");
        foreach (var option in own) command.Add(option);
        foreach (var option in (ReadOnlySpan<Option>)[_recipeFile, _data, _width, _limit, _testLimit]) command.Add(option);
        _recipe = new RecipeOptions(command, epochs: 12);
        _device = new DeviceOptions(command);
        foreach (var option in (ReadOnlySpan<Option>)[_seeds, _outFolder, _json]) command.Add(option);
    }

    /// <summary>What a command line says, together with its recipe file.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="seedsInFile">Where such a file says the number of seeds.</param>
    /// <exception cref="ArgumentException">Something makes no sense; nothing was begun.</exception>
    public TableRequest Read(ParseResult parsed, Func<RecipeFile, int?> seedsInFile)
    {
        var reading = new RecipeReading(parsed, parsed.GetValue(_recipeFile));
        int seeds = reading.Pick(_seeds, seedsInFile);
        if (seeds < 1) throw new ArgumentException($"--seeds must be at least 1; it is {seeds}.");
        var recipe = reading.Read(_recipe);
        recipe.Validate();
        var used = new RecipeFile
        {
            Width = reading.Pick(_width, f => f.Width),
            Data = reading.PickData(_data),
            Limit = reading.Pick(_limit, f => f.Limit),
            TestLimit = reading.Pick(_testLimit, f => f.TestLimit),
            Recipe = recipe,
        };
        return new(new Output(parsed.GetValue(_json)), reading, used, DataSource.Open(used.Data, used.Limit, used.TestLimit), seeds, parsed.GetValue(_outFolder) ?? Options.NewFolder(_kind));
    }

    /// <summary>Where to compute.</summary>
    public Device Open(ParseResult parsed) => _device.Open(parsed);

    /// <summary>The names in a list.</summary>
    public static string[] Names(string list) => list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>A table that is asked for.</summary>
/// <param name="Output">Where to say what is going on.</param>
/// <param name="Reading">The command line and its recipe file.</param>
/// <param name="Used">What they say of every run; the table itself is the command's to add.</param>
/// <param name="Source">The pictures.</param>
/// <param name="Seeds">How many.</param>
/// <param name="Folder">For everything that is written.</param>
internal sealed record TableRequest(Output Output, RecipeReading Reading, RecipeFile Used, DataSource Source, int Seeds, string Folder)
{
    /// <summary>Trains and leaves the recipe in the folder; shows what came out, or says how to go on where it was stopped.</summary>
    /// <param name="used">The whole recipe.</param>
    /// <param name="train">Trains what is not there yet.</param>
    /// <param name="show">Shows it.</param>
    /// <returns>The exit code.</returns>
    public int Run<T>(RecipeFile used, Func<T> train, Action<T> show)
    {
        T results;
        try
        {
            results = train();
        }
        catch (OperationCanceledException)
        {
            Keep();
            Output.Line($"Stopped; what was done is kept. Go on with the same command and --out {Folder}");
            return 130;
        }
        Keep();
        show(results);
        return 0;

        // Not before: a table that is refused leaves the recipe of the one that is there alone.
        void Keep()
        {
            Directory.CreateDirectory(Folder);
            used.Save(new RunFolder(Folder).RecipeFile);
        }
    }
}
