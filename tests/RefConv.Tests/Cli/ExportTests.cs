using Onnx;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary><c>refconv export</c> and <c>refconv predict</c> on raw tensors.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class ExportTests : DeviceTest
{
    private readonly TemporaryFolder _folder = new();

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Fact]
    public void ExportsAPlainModel()
    {
        string model = Save("plain.safetensors"), onnx = _folder.File("plain.onnx");
        Assert.Contains("input [batch, 3, 24, 24] → logits [batch, 5]", Good("export", model, "-o", onnx).Out);
        var result = Good("export", model, "--out", onnx, "--input-size", "40", "--json").Json;
        Assert.Equal(new FileInfo(onnx).Length, result.GetProperty("bytes").GetInt64());
        Assert.Equal(40, result.GetProperty("input")[2].GetInt32());
        Assert.Equal(14 + 13, result.GetProperty("operators").GetProperty("Conv").GetInt32());
        Assert.Contains(Parse(onnx).MetadataProps, p => p is { Key: "mean", Value: "[0.5,0.25,0.125]" });
    }

    [Fact]
    public void ExportsAnEnlarger()
    {
        string model = _folder.File("sesr.safetensors"), onnx = _folder.File("sesr.onnx");
        using (var net = Zoo.Create(new ModelSpec("sesr_m3_x2") { Width = 0.25, ImageSize = 8 }, new Initializer(Cpu)))
            ModelFile.Save(net, model);
        Assert.Contains("input [batch, 1, height, width] → output [batch, 1, output_height, output_width]", Good("export", model, "-o", onnx).Out);
        var result = Good("export", model, "-o", onnx, "--json").Json;
        Assert.Equal("""["batch",1,"height","width"]""", result.GetProperty("input").GetRawText());
        Assert.Equal("""["batch",1,"output_height","output_width"]""", result.GetProperty("output").GetRawText());
    }

    [Fact]
    public void ARefocusedModelMustBeMergedOrAskedFor()
    {
        string model = Save("refocused.safetensors", refocused: true), onnx = _folder.File("x.onnx");
        Fails(1, "Merge it first (refconv merge, or export --merge)", "export", model, "-o", onnx);
        Assert.False(File.Exists(onnx));
        Fails(1, "contradict each other", "export", model, "-o", onnx, "--merge", "--training-form");

        Assert.True(Good("export", model, "-o", onnx, "--merge", "--json").Json.GetProperty("merged").GetBoolean());
        var merged = Parse(onnx);
        Good("merge", "--from", model, "--out", _folder.File("merged.safetensors"));
        // Of a plain model --merge asks nothing.
        Assert.False(Good("export", _folder.File("merged.safetensors"), "-o", onnx, "--merge", "--json").Json.GetProperty("merged").GetBoolean());
        Assert.Equal(merged, Parse(onnx));
        Good("export", model, "-o", onnx, "--training-form");
        Assert.Equal(merged.Graph, Parse(onnx).Graph);
    }

    [Fact]
    public void ExportTellsWhatIsWrong()
    {
        string model = Save("m.safetensors");
        Fails(2, "'--out' is required", "export", model);
        Fails(2, "Did you mean '--merge'?", "export", model, "-o", "x", "--merg");
        Fails(1, "There is no file", "export", _folder.File("none"), "-o", _folder.File("x.onnx"));
        Fails(1, "is a folder", "export", model, "-o", _folder.Path);
        Fails(1, "there is no folder", "export", model, "-o", _folder.File("a/b.onnx"));
        Fails(1, "must be at least 1", "export", model, "-o", _folder.File("x.onnx"), "--input-size", "0");
        Assert.Single(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void PredictsRawTensorsOfAnyBatch()
    {
        string path = Save("m.safetensors"), x = _folder.File("x.npy"), y = _folder.File("y.npy");
        using var model = ModelFile.Load(path, Cpu);
        double[] images = Normal(5 * 3 * 24 * 24, 8);
        NpyFile.Write(x, Array.ConvertAll(images, v => (float)v), new Shape(5, 3, 24, 24));
        float[] expected = model.Predict(Array.ConvertAll(ToChannelsLast(images, 5, 3, 24, 24), v => (float)v), 5);
        foreach (string batch in (string[])["2", "5", "16"])
        {
            var result = Good("predict", path, "--input", x, "--output", y, "--batch", batch, "--json").Json;
            var scores = NpyFile.Read(y);
            Assert.Equal((NpyType.Float32, new Shape(5, 5)), (scores.Type, scores.Shape));
            double largest = expected.Max(Math.Abs);
            Assert.True(largest > 0 && expected.Distinct().Count() > 20);
            Assert.All(expected.Zip(scores.ToFloats()), p => Assert.Equal(p.First, p.Second, 1e-5 * largest));
            Assert.Equal(Enumerable.Range(0, 5).Select(i => expected[(5 * i)..(5 * i + 5)]).Select(row => Array.IndexOf(row, row.Max())),
                result.GetProperty("best").EnumerateArray().Select(b => b.GetInt32()));
        }
        Assert.Matches(@"scores of 5 images in .*\n +0  class \d \(class [a-e]\)\n", Good("predict", path, "--input", x, "--output", y).Out);
    }

    [Fact]
    public void PredictTellsWhatIsWrong()
    {
        string model = Save("m.safetensors"), x = _folder.File("x.npy"), y = _folder.File("y.npy");
        Fails(1, "There is no file", "predict", model, "--input", x, "--output", y);
        Wrong("takes [n, 3, 24, 24] (images, channels, rows, columns). Move the channels forward", new Shape(1, 24, 24, 3));
        Wrong("takes [n, 3, 24, 24]", new Shape(3, 24, 24));
        Wrong("takes [n, 3, 24, 24]", new Shape(1, 3, 32, 32));
        Wrong("no image", new Shape(0, 3, 24, 24));
        NpyFile.Write(x, new byte[3 * 24 * 24], new Shape(1, 3, 24, 24));
        Fails(1, "must be normalised as in training and be saved as float32", "predict", model, "--input", x, "--output", y);
        NpyFile.Write(x, new float[3 * 24 * 24], new Shape(1, 3, 24, 24));
        NpyFile.Write(x, Enumerable.Repeat(float.NaN, 3 * 24 * 24).ToArray(), new Shape(1, 3, 24, 24));
        Fails(1, "no finite numbers. Images must", "predict", model, "--input", x, "--output", y);
        NpyFile.Write(x, new float[3 * 24 * 24], new Shape(1, 3, 24, 24));
        using (var loud = ModelFile.Load(model, Cpu))
        {
            // All weights are finite, and what they give is not.
            ((BatchNorm2d)loud.Find("model.13.4")).Bias.FromTorch(Enumerable.Repeat(1e38f, 128).ToArray());
            ((Linear)loud.Find("fc")).Weight.FromTorch([.. Enumerable.Repeat(float.MaxValue, 5 * 128)]);
            ModelFile.Save(loud, _folder.File("loud"));
            NpyFile.Write(x, Enumerable.Repeat(1f, 3 * 24 * 24).ToArray(), new Shape(1, 3, 24, 24));
            Fails(1, "The model answers with values that are no finite numbers", "predict", _folder.File("loud"), "--input", x, "--output", y);
        }
        NpyFile.Write(x, new float[3 * 24 * 24], new Shape(1, 3, 24, 24));
        Fails(1, "--batch must be at least 1", "predict", model, "--input", x, "--output", y, "--batch", "0");
        Fails(1, "is a folder", "predict", model, "--input", x, "--output", _folder.Path);
        Assert.False(File.Exists(y));

        void Wrong(string phrase, Shape shape)
        {
            NpyFile.Write(x, new float[shape.Count], shape);
            Fails(1, phrase, "predict", model, "--input", x, "--output", y);
        }
    }

    private string Save(string name, bool refocused = false)
    {
        var spec = new ModelSpec("mobilenet_v1") { Classes = 5, Width = 0.125, SmallImages = true, ImageSize = 24 };
        using var plain = Zoo.Create(spec, new Initializer(Cpu, 3));
        ((Linear)plain.Find("fc")).Bias!.FromTorch(new float[5]); // so that scores depend on the pictures
        using var form = refocused ? plain.Expand(new RefConvMethod(), seed: 2) : null;
        var model = form ?? plain;
        model.Eval();
        ModelFile.Save(model, _folder.File(name), new DataInfo("test", [0.5f, 0.25f, 0.125f], [1, 1, 1], ["class a", "class b", "class c", "class d", "class e"]));
        return _folder.File(name);
    }

    private static ModelProto Parse(string path) => ModelProto.Parser.ParseFrom(File.ReadAllBytes(path));
}
