using System.Globalization;

namespace RefConv.IO;

/// <summary>
/// What was saved, laid flat: every tensor under the keys that lead to it, joined by dots, whether they are those of dictionaries in dictionaries or of modules in modules.
/// Which of them are the weights of a model is for those to find who know the model.
/// </summary>
/// <param name="Tensors">All tensors with a name.</param>
/// <param name="Objects">What stands where a tensor could, and can do nothing: its name and its class.</param>
internal sealed record TorchCheckpoint(IReadOnlyList<(string Name, TorchTensor Tensor)> Tensors, IReadOnlyList<(string Name, string Class)> Objects)
{
    /// <summary>Dictionaries in dictionaries that are looked into.</summary>
    private const int MostLevels = 12;

    /// <summary>More than any checkpoint has.</summary>
    private const int MostTensors = 400_000;

    /// <summary>Names beside those of a file's own bytes: a few bytes can put one key around any number of others.</summary>
    private const long FreeCharacters = 1 << 20;

    /// <summary>Lays a pickled value flat.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="root">What was saved.</param>
    /// <param name="fileLength">Bytes of the file.</param>
    /// <exception cref="FileFormatException">There is no tensor with a name in it.</exception>
    public static TorchCheckpoint Flatten(string path, object? root, long fileLength)
    {
        if (root is not (PickleDictionary or PickleList or PickleTuple)) throw NoWeights(path, $"holds {Describe(root)}, not a state dict");
        Dictionary<string, TorchTensor> tensors = new(StringComparer.Ordinal);
        Dictionary<string, string> objects = new(StringComparer.Ordinal);
        // Breadth first, so that what can be reached in two ways has the shorter name; every container once.
        HashSet<object> seen = new(ReferenceEqualityComparer.Instance) { root };
        Queue<(object Container, string Prefix, int Level)> queue = new([(root, "", 1)]);
        long characters = FreeCharacters + (4 * fileLength);
        while (queue.TryDequeue(out var next))
        {
            foreach (var (key, value) in Items(next.Container))
            {
                if (value is not (TorchTensor or PickleOpaque or PickleDictionary or PickleList or PickleTuple) || KeyText(key) is not { } text) continue;
                bool isContainer = value is not (TorchTensor or PickleOpaque);
                if (isContainer && (next.Level == MostLevels || !seen.Add(value))) continue;
                string name = next.Prefix + text;
                if ((characters -= name.Length) < 0) throw NoWeights(path, "its names are longer than the whole file");
                if (isContainer) queue.Enqueue((value, name + ".", next.Level + 1));
                else if (value is PickleOpaque opaque) objects.TryAdd(name, opaque.What);
                else if (tensors.Count == MostTensors) throw NoWeights(path, $"it holds more than {MostTensors} tensors");
                else tensors[name] = (TorchTensor)value;
            }
        }
        if (tensors.Count == 0) throw NoWeights(path, $"holds no weights that could be found: {Contents(root, objects)}");
        return new([.. tensors.Select(t => (t.Key, t.Value))], [.. objects.Select(o => (o.Key, o.Value))]);
    }

    private static IEnumerable<(object? Key, object? Value)> Items(object container) => container switch
    {
        PickleDictionary dictionary => dictionary.Items.Select(i => (i.Key, i.Value)),
        PickleList list => list.Items.Select((v, i) => ((object?)(long)i, v)),
        _ => ((PickleTuple)container).Items.Select((v, i) => ((object?)(long)i, v)),
    };

    private static string? KeyText(object? key) => key switch
    {
        string text => text,
        long number => number.ToString(CultureInfo.InvariantCulture),
        _ => null,
    };

    private static string Contents(object root, Dictionary<string, string> objects)
    {
        string text = root is PickleDictionary dictionary
            ? $"a dictionary of {dictionary.Items.Count} entries ({string.Join(", ", dictionary.Items.Take(8).Select(i => KeyText(i.Key) ?? "?"))})"
            : "a list";
        return objects.Count == 0 ? text : $"{text}, in which '{objects.First().Key}' is an object of '{objects.First().Value}', which is not looked into and of which nothing was run";
    }

    private static FileFormatException NoWeights(string path, string problem) => new(path, Visible($"{problem}. Save the weights in Python: torch.save(model.state_dict(), PATH)."));

    /// <summary>Names of files are other people's text: no line breaks and no control characters in messages.</summary>
    private static string Visible(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '?' : c));

    private static string Describe(object? value) => value switch
    {
        null => "nothing (None)",
        TorchTensor => "a single tensor",
        PickleOpaque opaque => $"an object of '{opaque.What}' (a whole model, perhaps), of which nothing was run or read",
        PickleGlobal global => $"the name '{global.Name}'",
        string => "text",
        _ => "a number",
    };
}
