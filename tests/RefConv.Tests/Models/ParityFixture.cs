using System.Globalization;
using RefConv.Models;

namespace RefConv.Tests.Models;

/// <summary>What PyTorch computed with one architecture: a file of tests/Golden/parity, made by tests/Golden/torch_parity.py, which says how.</summary>
internal sealed class ParityFixture
{
    private readonly Dictionary<string, string> _model;

    private ParityFixture(string folder, string name)
    {
        List<Entry> state = [];
        List<double> logits = [];
        _model = [];
        foreach (string line in File.ReadLines(Path.Combine(Folder(folder), name + ".txt")))
        {
            string[] words = line.Split(' ');
            if (words[0] == "model")
            {
                for (int i = 0; i < words.Length; i += 2) _model.Add(words[i], words[i + 1]);
            }
            else if (words[0] == "loss") Loss = Number(words[1]);
            else if (words[0] == "logits") logits.AddRange(words[1..].Select(Number));
            else state.Add(new Entry(words[0], words[1], words.Length > 2 ? new Digest(Number(words[2]), Number(words[3]), Number(words[4])) : default));
        }
        (State, Logits) = (state, logits);
    }

    /// <summary>A tensor of the state dict, and the digest of its gradient or, for a buffer, of its value after the step.</summary>
    public sealed record Entry(string Key, string Shape, Digest Digest);

    /// <summary>The fixtures that there are of the zoo's definitions.</summary>
    public static IEnumerable<string> Names => NamesIn("parity");

    /// <summary>Those of timm's: names, shapes and scores.</summary>
    public static IEnumerable<string> TimmNames => NamesIn("timm");

    private static IEnumerable<string> NamesIn(string folder) => Directory.GetFiles(Folder(folder), "*.txt").Select(f => Path.GetFileNameWithoutExtension(f)).Order(StringComparer.Ordinal);

    public ModelSpec Spec => new(_model["model"])
    {
        Classes = Whole("classes"), Width = Number(_model["width"]), ImageSize = Whole("size"), InChannels = Whole("channels"), SmallImages = Whole("small") == 1,
    };

    /// <summary>Images of the training step.</summary>
    public int Batch => Whole("batch");

    public IReadOnlyList<Entry> State { get; }

    public double Loss { get; }

    public IReadOnlyList<double> Logits { get; }

    private static string Folder(string folder) => Path.Combine(AppContext.BaseDirectory, "Golden", folder);

    public static ParityFixture Read(string name) => new("parity", name);

    public static ParityFixture ReadTimm(string name) => new("timm", name);

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    private int Whole(string key) => int.Parse(_model[key], CultureInfo.InvariantCulture);
}

/// <summary>The filling that torch_parity.py describes.</summary>
internal static class ParityFilling
{
    // Place n (n + 1) / 2 of ((m·7919 + a·104729) mod 1009) / 1009 − ½: the same again after 1009 elements.
    public static double[] Period(int a)
    {
        double[] values = new double[1009];
        for (long n = 0; n < values.Length; n++) values[n] = (((n * (n + 1) / 2 * 7919) + (a * 104729L)) % 1009 / 1009.0) - 0.5;
        return values;
    }

    public static double[] Of(long count, int a) => [.. Of(count, a, v => v).Select(v => (double)v)];

    /// <summary>A tensor of the state dict.</summary>
    /// <param name="key">Its key.</param>
    /// <param name="parameter">The tensor.</param>
    /// <param name="a">Its place in the state dict.</param>
    /// <param name="isNorm">It belongs to a batch norm.</param>
    public static float[] Of(string key, Parameter parameter, int a, bool isNorm) => Of(key, parameter.TorchShape, a, isNorm, parameter.IsInteger);

    /// <inheritdoc cref="Of(string, Parameter, int, bool)"/>
    public static float[] Of(string key, Shape shape, int a, bool isNorm, bool isInteger)
    {
        double scale = shape.Rank > 1 ? Math.Sqrt(24.0 / (shape.Count / shape[0])) : 0;
        return Of(shape.Count, a, key[(key.LastIndexOf('.') + 1)..] switch
        {
            _ when isInteger => _ => 0,
            _ when shape.Rank > 1 => v => v * scale,
            "running_var" => v => (Math.Abs(v) + 0.5) / 2,
            "weight" => v => 0.4 * (1 + (v / 2)),
            "bias" when isNorm => v => (v < -0.25 ? -1 : 1) * (1 + Math.Abs(v)),
            _ => v => v / 5,
        });
    }

    private static float[] Of(long count, int a, Func<double, double> function)
    {
        float[] period = [.. Period(a).Select(v => (float)function(v))], values = new float[count];
        for (int start = 0; start < values.Length; start += period.Length) period.AsSpan(0, Math.Min(period.Length, values.Length - start)).CopyTo(values.AsSpan(start));
        return values;
    }
}

/// <summary>A tensor in three numbers: its norm, and its products with two fixed vectors whose elements have mean square 1.</summary>
/// <param name="Norm">Root of the sum of squares.</param>
/// <param name="A">Product with the filling 2000 · √12.</param>
/// <param name="B">Product with the filling 2001 · √12.</param>
internal readonly record struct Digest(double Norm, double A, double B)
{
    private static readonly double[] s_a = ParityFilling.Period(2000), s_b = ParityFilling.Period(2001);

    public static Digest Of(ReadOnlySpan<double> values)
    {
        double squares = 0, a = 0, b = 0;
        for (int start = 0; start < values.Length; start += s_a.Length)
        {
            var part = values[start..Math.Min(values.Length, start + s_a.Length)];
            for (int i = 0; i < part.Length; i++)
            {
                squares += part[i] * part[i];
                a += part[i] * s_a[i];
                b += part[i] * s_b[i];
            }
        }
        return new Digest(Math.Sqrt(squares), a * Math.Sqrt(12), b * Math.Sqrt(12));
    }

    /// <summary>The largest difference of the three numbers: about the norm of the difference of the two tensors.</summary>
    public double Distance(Digest other) => Math.Max(Math.Abs(Norm - other.Norm), Math.Max(Math.Abs(A - other.A), Math.Abs(B - other.B)));
}
