using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.IO;
using RefConv.Models;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv predict</c>: what a model answers: to photos (<see cref="PhotoPrediction"/>), or to raw tensors with raw scores.</summary>
internal static class PredictCommand
{
    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("predict", "What a model sees: the most likely classes of photos; or, with --input, the scores of raw tensors.");
        Argument<string> file = new("MODEL") { Description = "The model." };
        Argument<string[]> photos = new("PHOTO") { Description = "PNG or JPEG files; resized, cut and normalised as the model wants.", Arity = ArgumentArity.ZeroOrMore };
        Option<string?> labels = new("--labels") { Description = "Names of the classes: one a line, or a JSON list. Default: those in the model's file.", HelpName = "FILE" };
        Option<int> top = new("--top") { Description = "How many classes of a photo to print.", DefaultValueFactory = _ => 5, HelpName = "N" };
        Option<string?> input = new("--input") { Description = "Instead of photos: float32 [n, channels, height, width], normalised as in training, a .npy file. Default: none.", HelpName = "FILE" };
        Option<string?> to = new("--output") { Description = "With --input: the scores [n, classes] to write, a .npy file. Default: none.", HelpName = "FILE" };
        Option<int> batch = Options.Batch(16);
        Option<bool> json = Options.Json();
        command.Add(file);
        command.Add(photos);
        var device = new DeviceOptions(command);
        foreach (var option in (ReadOnlySpan<Option>)[labels, top, input, to, batch, json]) command.Add(option);
        command.SetAction(parsed =>
        {
            string? from = parsed.GetValue(input);
            string[] pictures = parsed.GetValue(photos) ?? [];
            if ((from == null) != (parsed.GetValue(to) == null)) throw new ArgumentException("--input and --output are given together: the tensors to read and the scores to write.");
            if ((from == null) == (pictures.Length == 0)) throw new ArgumentException("Give photos, or tensors with --input and --output.");
            if (parsed.GetValue(batch) < 1) throw new ArgumentException($"--batch must be at least 1; it is {parsed.GetValue(batch)}.");
            var output = new Output(parsed.GetValue(json));
            using var where = device.Open(parsed);
            using var model = ModelFile.Load(parsed.GetValue(file)!, where, out var data);
            if (model.Task != ModelTask.Classification)
                throw new ArgumentException($"{model.Spec.Architecture} is no classifier: it enlarges pictures and has no class scores. Export it (refconv export) and run the file where pictures are to be enlarged.");
            if (from == null) return new PhotoPrediction(model, data, parsed.GetValue(labels), parsed.GetValue(top)).Run(output, pictures, cancellation);
            RawTensors(output, model, data, from, parsed.GetValue(to)!, parsed.GetValue(batch), cancellation);
            return 0;
        });
        return command;
    }

    /// <summary>Answers a file of normalised images with a file of scores.</summary>
    private static void RawTensors(Output output, Model model, DataInfo? data, string from, string to, int batch, CancellationToken cancellation)
    {
        var images = NpyFile.Read(from);
        Check(images, model, from);
        int n = images.Shape[0], classes = model.Spec.Classes;
        float[] values = images.ToFloats();
        if (!values.All(float.IsFinite)) throw new FileFormatException(from, "holds values that are no finite numbers. Images must be normalised as in training.");
        float[] scores = Scores(model, values, n, batch, cancellation);
        CheckScores(scores);
        NpyFile.Write(to, scores, new Shape(n, classes));
        int[] best = [.. Enumerable.Range(0, n).Select(i => ArgMax(scores.AsSpan(i * classes, classes)))];
        output.Line($"{model.Spec}: scores of {n} image{(n == 1 ? "" : "s")} in {to}");
        for (int i = 0; i < Math.Min(n, 10); i++) output.Line($"{i,6}  {Name(best[i])}");
        if (n > 10) output.Line("     …");
        output.Object(new JsonObject { ["file"] = to, ["images"] = n, ["classes"] = classes, ["best"] = new JsonArray([.. best.Select(b => (JsonNode)b)]) });

        string Name(int c) => data?.ClassNames is { } names && c < names.Count ? $"class {c} ({names[c]})" : $"class {c}";
    }

    /// <summary>Refuses scores that say nothing: the largest of them would be a class all the same.</summary>
    internal static void CheckScores(float[] scores)
    {
        if (!scores.All(float.IsFinite)) throw new InvalidOperationException("The model answers with values that are no finite numbers: its weights are damaged, or its training diverged.");
    }

    private static void Check(NpyArray images, Model model, string path)
    {
        var (shape, spec) = (images.Shape, model.Spec);
        string wanted = $"[n, {spec.InChannels}, {spec.ImageSize}, {spec.ImageSize}]";
        if (images.Type is not (NpyType.Float32 or NpyType.Float64))
            throw new FileFormatException(path, $"holds {images.Type}. Images must be normalised as in training and be saved as float32: array.astype('float32').");
        if (shape.Rank != 4 || shape[1] != spec.InChannels || shape[2] != spec.ImageSize || shape[3] != spec.ImageSize)
            throw new FileFormatException(path, $"holds an array {shape}; this model takes {wanted} (images, channels, rows, columns).{(shape.Rank == 4 && shape[3] == spec.InChannels ? " Move the channels forward with array.transpose(0, 3, 1, 2)." : "")}");
        if (shape[0] == 0) throw new FileFormatException(path, "holds no image.");
        if ((long)shape[0] * spec.Classes > Array.MaxLength) throw new FileFormatException(path, $"holds {shape[0]} images, whose {(long)shape[0] * spec.Classes:N0} scores are too many for one file. Give it in parts.");
    }

    /// <summary>Scores of all images, a batch at a time.</summary>
    /// <param name="model">The model.</param>
    /// <param name="images">[n, c, h, w]</param>
    /// <param name="n">Images.</param>
    /// <param name="batch">Images a run.</param>
    /// <param name="cancellation">Ends it between two runs.</param>
    private static float[] Scores(Model model, float[] images, int n, int batch, CancellationToken cancellation)
    {
        int length = images.Length / n, classes = model.Spec.Classes;
        float[] scores = new float[n * classes];
        for (int start = 0, size = Math.Min(batch, n); start < n;)
        {
            // One plan for the whole batches, one for what is left.
            size = Math.Min(size, n - start);
            using var plan = model.Compile(size);
            for (; start + size <= n; start += size)
            {
                cancellation.ThrowIfCancellationRequested();
                using var x = Tensor.From(model.Device, ChannelsLast(images.AsSpan(start * length, size * length), plan.InputShape), plan.InputShape);
                plan.Run(x).ToArray().CopyTo(scores, start * classes);
            }
        }
        return scores;
    }

    /// <summary>[n, c, h, w] to [n, h, w, c].</summary>
    private static float[] ChannelsLast(ReadOnlySpan<float> values, Shape shape)
    {
        int pixels = shape[1] * shape[2], channels = shape[3];
        float[] result = new float[values.Length];
        for (int n = 0; n < shape[0]; n++)
        {
            var image = values.Slice(n * channels * pixels, channels * pixels);
            for (int c = 0; c < channels; c++)
            {
                for (int p = 0; p < pixels; p++) result[(((n * pixels) + p) * channels) + c] = image[(c * pixels) + p];
            }
        }
        return result;
    }

    private static int ArgMax(ReadOnlySpan<float> values)
    {
        int best = 0;
        for (int i = 1; i < values.Length; i++)
        {
            if (values[i] > values[best]) best = i;
        }
        return best;
    }
}
