using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using RefConv.IO;
using RefConv.Kernels;

namespace RefConv.Models.Train;

/// <summary>
/// The folder of a run: <c>last.safetensors</c> (weights, the optimiser's state, and in its metadata the state of the run), <c>best.safetensors</c>
/// (the weights of the best epoch), <c>run.json</c>, the state once more for people and scripts, and <c>recipe.json</c>, which makes the run again.
/// </summary>
/// <remarks>
/// Only <c>last.safetensors</c> counts for resuming: weights and state change together, by one rename.
/// </remarks>
public sealed class RunFolder
{
    private const string StateKey = "refconv.run", EpochPrefix = "epoch-";

    /// <summary>Names a folder; nothing is read or made yet.</summary>
    public RunFolder(string path) => Path = path;

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>The last checkpoint.</summary>
    public string LastFile => System.IO.Path.Combine(Path, "last.safetensors");

    /// <summary>The weights of the best epoch.</summary>
    public string BestFile => System.IO.Path.Combine(Path, "best.safetensors");

    /// <summary>The state, for people and scripts.</summary>
    public string StateFile => System.IO.Path.Combine(Path, "run.json");

    /// <summary>Weights of epochs, in order, where they are kept (<see cref="RunState.KeepEpochs"/>): <c>epoch-000.safetensors</c> is where the run began.</summary>
    public string[] EpochFiles => !Directory.Exists(Path) ? [] :
        [.. Directory.GetFiles(Path, EpochPrefix + "*.safetensors").Where(f => EpochOf(f) != null).OrderBy(EpochOf)];

    /// <summary>The recipe, as a file that <c>train --recipe</c> takes.</summary>
    public string RecipeFile => System.IO.Path.Combine(Path, "recipe.json");

    /// <summary>Checks that no run is there that a new one would take the place of; nothing is made.</summary>
    /// <exception cref="IOException">One is, or a file has that name.</exception>
    public void CheckFree()
    {
        if (File.Exists(Path)) throw new IOException($"'{Path}' is a file. Choose another folder for the run (--out).");
        if (File.Exists(LastFile)) throw new IOException($"'{Path}' holds a run already. Go on with it (train --resume {Path}), or choose another folder (--out).");
    }

    /// <summary>Makes the folder, and checks that a run can be kept there, before any time is spent on training.</summary>
    /// <exception cref="IOException">It holds a run already, or cannot be written.</exception>
    public void Create()
    {
        CheckFree();
        try
        {
            Directory.CreateDirectory(Path);
            AtomicFile.WriteAllText(StateFile, "{}");
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"The folder '{Path}' cannot be written ({e.Message}). Choose another one (--out).", e);
        }
    }

    /// <summary>Writes the checkpoint.</summary>
    /// <param name="model">The model.</param>
    /// <param name="training">What training keeps beside it: the optimiser's state and that of an average.</param>
    /// <param name="state">Where the run stands.</param>
    /// <param name="data">What it is trained on.</param>
    public void SaveLast(Model model, IEnumerable<(string Key, Shape Shape, float[] Values)> training, RunState state, DataInfo data) =>
        SaveLast(model, training.Select(t => SafeTensorsEntry.FromFloats(ModelFile.TrainingPrefix + t.Key, t.Shape.Sizes.ToArray().Select(s => (long)s), t.Values)), state.ToJson(), data);

    /// <summary>Writes the checkpoint of any kind of run: the model, the optimiser's tensors, and the state as JSON with a <c>kind</c>.</summary>
    internal void SaveLast(Model model, IEnumerable<SafeTensorsEntry> optimizer, string state, DataInfo? data)
    {
        ModelFile.Save(model, LastFile, data, optimizer, [new(StateKey, state)]);
        AtomicFile.WriteAllText(StateFile, state);
    }

    /// <summary>Writes the best weights.</summary>
    public void SaveBest(Model model, DataInfo? data) => ModelFile.Save(model, BestFile, data);

    /// <summary>Writes the weights after an epoch, without the optimiser's state.</summary>
    internal void SaveEpoch(Model model, int epoch, DataInfo? data) => ModelFile.Save(model, System.IO.Path.Combine(Path, $"{EpochPrefix}{epoch:000}.safetensors"), data);

    private static int? EpochOf(string file) =>
        int.TryParse(System.IO.Path.GetFileNameWithoutExtension(file)[EpochPrefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out int epoch) ? epoch : null;

    /// <summary>Reads the checkpoint back.</summary>
    /// <exception cref="IOException">There is none, or it is damaged.</exception>
    public (Model Model, RunState State, IReadOnlyDictionary<string, float[]> Training, DataInfo? Data) Load(Device device)
    {
        var (json, training) = Read(ModelFile.TrainingPrefix);
        var state = RunState.FromJson(json, LastFile); // first: when it is damaged, no model is left behind for the finaliser
        return (ModelFile.Load(LastFile, device, out var data), state, training, data);
    }

    /// <summary>What kind of run it is, as its state says; for choosing who goes on with it.</summary>
    /// <exception cref="IOException">There is no run, or it is damaged.</exception>
    public string ReadKind()
    {
        try
        {
            return JsonNode.Parse(Read(ModelFile.TrainingPrefix, tensors: false).State)?["kind"]?.GetValue<string>() ?? "";
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw new FileFormatException(LastFile, $"the state of the run in it is damaged ({e.Message}). Train again, or go on from the best weights.", e);
        }
    }

    /// <summary>The state of a run as JSON, and the optimiser's tensors by their names without a prefix.</summary>
    internal (string State, IReadOnlyDictionary<string, float[]> Optimizer) Read(string prefix, bool tensors = true)
    {
        if (!File.Exists(LastFile))
            throw new FileNotFoundException($"'{Path}' holds no run to go on with: there is no last.safetensors in it. Give the folder that train --out made.");
        using var file = SafeTensorsFile.Open(LastFile);
        if (!file.Metadata.TryGetValue(StateKey, out string? json))
            throw new FileFormatException(LastFile, "the file holds a model but no state of a run. Give the folder that train --out made.");
        return (json, !tensors ? new Dictionary<string, float[]>() : file.Entries.Where(e => e.Name.StartsWith(prefix, StringComparison.Ordinal))
            .ToDictionary(e => e.Name[prefix.Length..], e => file.Read(e.Name)));
    }
}
