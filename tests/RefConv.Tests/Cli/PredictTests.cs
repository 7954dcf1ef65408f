using System.Text.Json;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Imaging;
using RefConv.Tests.Imaging;
using RefConv.Tests.Models;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary>Photos through the tool: predict, and training on image folders.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class PredictTests : IDisposable
{
    private static readonly DataInfo Info = new("d", [0.4f, 0.5f, 0.6f], [0.2f, 0.25f, 0.3f], ["ant", "bee", "cat", "dog"]);

    private readonly TemporaryFolder _folder = new();
    private readonly string _model, _photo;

    public PredictTests()
    {
        (_model, _photo) = (_folder.File("model.safetensors"), _folder.Write("photo.png", PngMaker.Noise(50, 40)));
        using var device = new CpuDevice(1);
        using var model = Make(device);
        ModelFile.Save(model, _model, Info);
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void ClassesWithProbabilities()
    {
        // The same answer, computed by hand.
        using var device = new CpuDevice(1);
        using var model = ModelFile.Load(_model, device);
        float[] scores = model.Predict(ImagePreprocessing.For(model.Spec, Info).Apply(ImageFile.Load(_photo)), 1);
        double sum = scores.Sum(s => Math.Exp(s));
        int[] order = [.. Enumerable.Range(0, 4).OrderByDescending(c => scores[c])];

        string[] lines = Good("predict", _model, _photo, "--json").Out.TrimEnd().Split('\n');
        var answer = JsonDocument.Parse(lines[0]).RootElement;
        Assert.Equal(_photo, answer.GetProperty("file").GetString());
        var top = answer.GetProperty("top");
        Assert.Equal(4, top.GetArrayLength()); // five were asked for, there are four
        for (int i = 0; i < 4; i++)
        {
            Assert.Equal(order[i], top[i].GetProperty("class").GetInt32());
            Assert.Equal(Info.ClassNames[order[i]], top[i].GetProperty("label").GetString());
            Assert.Equal(Math.Exp(scores[order[i]]) / sum, top[i].GetProperty("probability").GetDouble(), 1e-5);
        }
        Assert.Equal(0, JsonDocument.Parse(lines[1]).RootElement.GetProperty("failed").GetInt32());

        string text = Good("predict", _model, _photo, "--top", "2").Out;
        Assert.Matches($@"^{System.Text.RegularExpressions.Regex.Escape(_photo)}\n +\d+\.\d\d %  {Info.ClassNames[order[0]]}\n +\d+\.\d\d %  {Info.ClassNames[order[1]]}\n$", text);
        Assert.Equal(text, Good("predict", _model, _photo, "--top", "2", "--device", "reference").Out);
    }

    [Fact]
    public void TrainingFormsAnswerToo()
    {
        using var device = new CpuDevice(1);
        using var model = Make(device);
        using var refocused = model.Expand(new RefConvMethod());
        refocused.Eval();
        ModelFile.Save(refocused, _folder.File("refocused.safetensors"), Info);
        Assert.Contains(" %  ", Good("predict", _folder.File("refocused.safetensors"), _photo).Out);
    }

    [Fact]
    public void Labels()
    {
        File.WriteAllText(_folder.File("lines.txt"), "one\r\ntwo words\nthree\nfour\n\n");
        File.WriteAllText(_folder.File("list.json"), "[\"one\", \"two words\", \"three\", \"four\"]");
        string lines = Good("predict", _model, _photo, "--labels", _folder.File("lines.txt")).Out;
        Assert.Contains("two words", lines);
        Assert.Equal(lines, Good("predict", _model, _photo, "--labels", _folder.File("list.json")).Out);
        File.WriteAllText(_folder.File("short.txt"), "one\ntwo");
        Fails(1, "has 2 names, and the model has 4 classes", "predict", _model, _photo, "--labels", _folder.File("short.txt"));
        File.WriteAllText(_folder.File("wrong.json"), "[1, 2]");
        Fails(1, "not a list of texts", "predict", _model, _photo, "--labels", _folder.File("wrong.json"));
        Fails(1, "There is no file", "predict", _model, _photo, "--labels", _folder.File("none"));
        // Without names classes have numbers.
        using var device = new CpuDevice(1);
        using var model = Make(device);
        ModelFile.Save(model, _folder.File("nameless.safetensors"));
        Assert.Contains("%  class ", Good("predict", _folder.File("nameless.safetensors"), _photo).Out);
    }

    [Fact]
    public void OnePhotoThatFailsDoesNotStopTheOthers()
    {
        string broken = _folder.Write("broken.png", File.ReadAllBytes(_photo).AsSpan(0, 500)), gif = _folder.Write("gif.jpg", "GIF89a"u8);
        var result = Run("predict", _model, broken, _photo, gif, _folder.File("none.png"), "--json");
        Assert.Equal(1, result.Code);
        string[] lines = result.Out.TrimEnd().Split('\n');
        Assert.Equal(5, lines.Length);
        Assert.Contains("damaged", lines[0]);
        Assert.Contains("probability", lines[1]);
        Assert.Contains("GIF", lines[2]);
        Assert.Contains("There is no file", lines[3]);
        Assert.Equal(3, result.Json.GetProperty("failed").GetInt32());
        Assert.Equal(3, result.Error.TrimEnd().Split('\n').Length);
        Assert.All(result.Error.TrimEnd().Split('\n'), line => Assert.StartsWith("refconv: ", line));
    }

    [Fact]
    public void MisuseIsExplained()
    {
        Fails(1, "Give photos, or tensors", "predict", _model);
        Fails(1, "Give photos, or tensors", "predict", _model, _photo, "--input", "x.npy", "--output", "y.npy");
        Fails(1, "given together", "predict", _model, "--input", "x.npy");
        Fails(1, "--top must be at least 1", "predict", _model, _photo, "--top", "0");
        Fails(1, "--image-size is for imagefolder", "train", "--data", "shapes", "--image-size", "32");
        Fails(1, "between 1 and 4096", "train", "--data", $"imagefolder:{_folder.Path}", "--image-size", "0");
    }

    [Fact]
    public void TrainOnAFolderGoOnRefocusTestAndPredict()
    {
        for (int i = 0; i < 10; i++)
        {
            foreach (string kind in new[] { "left", "right" })
            {
                Directory.CreateDirectory(_folder.File($"data/{kind}"));
                _folder.Write($"data/{kind}/{i}.png", PngMaker.Noise(kind == "left" ? 40 : 20, 30, i));
            }
        }
        string data = $"imagefolder:{_folder.File("data")}", whole = _folder.File("whole"), parts = _folder.File("parts"), refocused = _folder.File("refocused");
        string[] options = ["train", "--data", data, "--image-size", "16", "--width", "0.0625", "--batch", "4", "--epochs", "2", "--threads", "1"];
        Assert.Contains("data train: 16 pictures at 16×16×3, 2 classes", Good([.. options, "--out", whole]).Out);
        Good([.. options, "--out", parts, "--stop-after", "1"]);
        Good("train", "--resume", parts, "--threads", "1");
        TrainingBench.AssertSameRun(whole, parts);
        string last = Path.Combine(whole, "last.safetensors");
        Good("refocus", "--from", last, "--data", data, "--batch", "4", "--epochs", "1", "--threads", "1", "--out", refocused);
        Assert.Equal(4, Good("eval", last, "--data", data, "--json").Json.GetProperty("images").GetInt32());
        Assert.Equal(20, Good("eval", last, "--data", data, "--all", "--json").Json.GetProperty("images").GetInt32());
        Assert.Matches("left|right", Good("predict", Path.Combine(refocused, "last.safetensors"), _folder.File("data/left/0.png")).Out);
    }

    [Fact]
    public void AConvertedModelSeesTheSamePicturesBeforeAndAfterAStop()
    {
        for (int i = 0; i < 5; i++)
        {
            foreach (string kind in new[] { "left", "right" })
            {
                Directory.CreateDirectory(_folder.File($"data/{kind}"));
                _folder.Write($"data/{kind}/{i}.png", PngMaker.Noise(kind == "left" ? 40 : 20, 30, i));
            }
        }
        // EfficientNet's weights were trained with bicubic pictures; a checkpoint of ours says so.
        string start = _folder.File("converted.safetensors"), whole = _folder.File("whole"), parts = _folder.File("parts");
        using (var device = new CpuDevice(1))
        using (var model = Zoo.Create(new ModelSpec("efficientnet_b0") { Classes = 2, Width = 0.1, ImageSize = 16, SmallImages = true }, new Initializer(device, seed: 3)))
            ModelFile.Save(model, start);
        string[] options = ["train", "--from", start, "--data", $"imagefolder:{_folder.File("data")}", "--batch", "4", "--epochs", "2", "--threads", "1"];
        var run = Good([.. options, "--out", whole, "--json"]).Json;
        Good([.. options, "--out", parts, "--stop-after", "1"]);
        Good("train", "--resume", parts, "--threads", "1");
        TrainingBench.AssertSameRun(whole, parts);
        var test = Good("eval", Path.Combine(whole, "last.safetensors"), "--data", options[4], "--threads", "1", "--json").Json;
        Assert.Equal(run.GetProperty("testLoss").GetDouble(), test.GetProperty("loss").GetDouble());
        Fails(1, "Leave it out", [.. options, "--image-size", "32"]);
    }

    [Fact]
    public void EnlargersHaveNoClasses()
    {
        using var device = new CpuDevice(1);
        using var model = Zoo.Create(new ModelSpec("sesr_m3_x2") { Width = 0.25, ImageSize = 8 }, new Initializer(device));
        ModelFile.Save(model, _folder.File("sesr.safetensors"));
        Fails(1, "sesr_m3_x2 is no classifier", "predict", _folder.File("sesr.safetensors"), _photo);
        Fails(1, "sesr_m3_x2 is no classifier", "predict", _folder.File("sesr.safetensors"), "--input", "x.npy", "--output", "y.npy");
    }

    [Fact]
    public void FoldersOfPicturesAreTimed()
    {
        _folder.Write("broken.png", "GIF89a"u8);
        var result = Good("bench", "images", _folder.Path, "--rounds", "1", "--json").Json;
        Assert.Equal((64, 32), (result.GetProperty("pictures").GetInt32(), result.GetProperty("unreadable").GetInt32()));
        Assert.True(result.GetProperty("picturesPerSecond").GetDouble() > 0);
        Fails(1, "There is no folder", "bench", "images", _folder.File("none"));
        Fails(1, "no PNG or JPEG files", "bench", "images", Directory.CreateDirectory(_folder.File("empty")).FullName);
    }

    private static Model Make(Device device)
    {
        var spec = new ModelSpec("mobilenet_v1") { Classes = 4, Width = 0.0625, ImageSize = 32, SmallImages = true };
        var model = Zoo.Create(spec, new Initializer(device, seed: 3));
        model.Eval();
        return model;
    }
}
