using System.Text.Json;
using System.Text.Json.Nodes;
using RefConv.IO;
using RefConv.Models;
using RefConv.Models.Imaging;

namespace RefConv.Cli.Commands;

/// <summary>The photo mode of <c>refconv predict</c>: the most likely classes of each picture, with probabilities.</summary>
internal sealed class PhotoPrediction
{
    private const int Failed = 1;

    private readonly Model _model;
    private readonly IReadOnlyList<string>? _names;
    private readonly ImagePreprocessing _preprocessing;
    private readonly int _top;

    /// <param name="model">The model.</param>
    /// <param name="data">What its file says about the pictures it was trained on.</param>
    /// <param name="labels">A file of class names; null for those in the model's file.</param>
    /// <param name="top">Classes to print.</param>
    public PhotoPrediction(Model model, DataInfo? data, string? labels, int top)
    {
        if (top < 1) throw new ArgumentException($"--top must be at least 1; it is {top}.");
        (_model, _top) = (model, Math.Min(top, model.Spec.Classes));
        _names = labels == null ? data?.ClassNames : ReadLabels(labels);
        if (labels != null && _names!.Count != model.Spec.Classes)
            throw new FileFormatException(labels, $"has {_names.Count} names, and the model has {model.Spec.Classes} classes. Give the names of all its classes, class 0 first.");
        _preprocessing = ImagePreprocessing.For(model.Spec, data);
    }

    /// <summary>Answers photos; one that cannot be read is told about, and the others go on.</summary>
    /// <returns>The exit code.</returns>
    public int Run(Output output, IReadOnlyList<string> photos, CancellationToken cancellation)
    {
        using var plan = _model.Compile(batch: 1);
        int failed = 0;
        foreach (string photo in photos)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                var image = ImageFile.Load(photo);
                using var x = Tensor.From(_model.Device, _preprocessing.Apply(image), plan.InputShape);
                Print(output, photo, image, Softmax(plan.Run(x).ToArray()));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
            {
                failed++;
                string problem = e.Message.ReplaceLineEndings(" ");
                Console.Error.WriteLine($"refconv: {problem}");
                output.Object(new JsonObject { ["file"] = photo, ["error"] = problem });
            }
        }
        output.Object(new JsonObject { ["photos"] = photos.Count, ["failed"] = failed });
        return failed == 0 ? 0 : Failed;
    }

    private void Print(Output output, string photo, Image image, double[] probabilities)
    {
        // Of equally likely classes the lower number comes first.
        int[] best = [.. Enumerable.Range(0, probabilities.Length).OrderByDescending(c => probabilities[c]).Take(_top)];
        output.Line(photo);
        foreach (int c in best) output.Line($"{Output.Text(100 * probabilities[c], "0.00"),8} %  {Name(c)}");
        output.Object(new JsonObject
        {
            ["file"] = photo,
            ["width"] = image.Width,
            ["height"] = image.Height,
            ["top"] = new JsonArray([.. best.Select(c => (JsonNode)new JsonObject { ["class"] = c, ["label"] = _names == null ? null : Name(c), ["probability"] = probabilities[c] })]),
        });
    }

    private string Name(int c) => _names is { } names && c < names.Count ? names[c] : $"class {c}";

    private static double[] Softmax(float[] scores)
    {
        PredictCommand.CheckScores(scores);
        double largest = scores.Max();
        double[] e = [.. scores.Select(s => Math.Exp(s - largest))];
        double sum = e.Sum();
        return [.. e.Select(v => v / sum)];
    }

    /// <summary>Class names from a file: a JSON list of texts, or one a line (empty lines at the end do not count).</summary>
    private static List<string> ReadLabels(string path)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"There is no file '{path}'. Check the path after --labels.", path);
        string text = File.ReadAllText(path);
        if (!text.TrimStart().StartsWith('[')) return [.. text.TrimEnd().ReplaceLineEndings("\n").Split('\n').Select(line => line.Trim())];
        try
        {
            using var document = JsonDocument.Parse(text);
            return [.. document.RootElement.EnumerateArray().Select(e => e.GetString() ?? throw new JsonException("one of the names is null"))];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new FileFormatException(path, $"begins like a JSON list and is not a list of texts ({e.Message}). Give [\"first class\", \"second class\", …] or one name a line.", e);
        }
    }
}
