using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Tests.Imaging;
using RefConv.Tests.Models;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary><c>train --task super-resolution</c> from a folder of pictures to a merged file.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class SuperResolutionCliTests
{
    [Fact]
    public void TrainStopGoOnAndMerge()
    {
        using TemporaryFolder pictures = new(), runs = new();
        for (int i = 0; i < 3; i++) PngMaker.Write(pictures.File($"{i}.png"), SuperResolutionTests.Picture(40, 36, i));
        string run = runs.File("run");
        string[] common = ["train", "--task", "super-resolution", "--data", pictures.Path, "--model", "sesr_m3_x2", "--width", "0.25", "--set", "width=8",
            "--epochs", "2", "--batch", "4", "--patch", "8", "--patches", "4", "--lr", "1e-3", "--threads", "1"];
        var stopped = Good([.. common, "--out", run, "--stop-after", "1", "--json"]).Json;
        Assert.False(stopped.GetProperty("finished").GetBoolean());
        var result = Good("train", "--resume", run, "--threads", "1", "--json").Json;
        Assert.True(result.GetProperty("finished").GetBoolean());
        Assert.Equal(2, result.GetProperty("epochs").GetInt32());
        Assert.Equal(result.GetProperty("psnr").GetDouble(), result.GetProperty("mergedPsnr").GetDouble());
        Assert.InRange(result.GetProperty("psnr").GetDouble(), 5, 60);
        Assert.InRange(result.GetProperty("bicubicPsnr").GetDouble(), 5, 60);
        Assert.True(File.Exists(result.GetProperty("merged").GetString()));
        string text = Good("train", "--resume", run, "--threads", "1").Out;
        Assert.Contains("finished already", text);
        Assert.Contains("Merged: PSNR", text);

        // ×4 from ×2: the model's width comes from the file.
        string merged = result.GetProperty("merged").GetString()!;
        string[] four = ["train", "--task", "super-resolution", "--data", pictures.Path, "--model", "sesr_m3_x4", "--set", "width=8", "--epochs", "1", "--batch", "4", "--patch", "8", "--patches", "2", "--threads", "1"];
        text = Good([.. four, "--from", merged, "--out", runs.File("four")]).Out;
        Assert.Contains("Starts from sesr_m3_x2, all layers but the last", text);
        Fails(1, "is in clb form", [.. four, "--from", Path.Combine(run, "last.safetensors")]);
        Fails(1, "only the scale may differ", [.. four, "--from", merged, "--width", "0.5"]);

        string folder = pictures.Path;
        Fails(1, "is a classifier", "train", "--task", "super-resolution", "--data", folder, "--model", "resnet18", "--width", "0.125");
        Fails(1, "Did you mean 'super-resolution'", "train", "--task", "super-resolutoin", "--data", folder);
        Fails(1, "--warmup is for classifiers", "train", "--task", "super-resolution", "--data", folder, "--warmup", "2");
        Fails(1, "--image-size is for classifiers", "train", "--task", "super-resolution", "--data", folder, "--image-size", "32");
        Fails(1, "needs a folder of PNG pictures", "train", "--task", "super-resolution");
        Fails(1, "--patch and --patches are for", "train", "--patch", "8");
        Fails(1, "--epochs cannot be given with --resume", "train", "--resume", run, "--epochs", "9");
        Fails(1, "no classifier", "train", "--data", "shapes", "--model", "sesr_m3_x2", "--limit", "20", "--test-limit", "10");
    }

    [Fact]
    public void ADamagedPictureIsNamed()
    {
        using TemporaryFolder pictures = new(), runs = new();
        for (int i = 0; i < 4; i++) PngMaker.Write(pictures.File($"{i}.png"), SuperResolutionTests.Picture(40, 36, i));
        byte[] whole = File.ReadAllBytes(pictures.File("2.png"));
        File.WriteAllBytes(pictures.File("2.png"), whole[..^20]);
        Fails(1, "2.png", "train", "--task", "super-resolution", "--data", pictures.Path, "--model", "sesr_m3_x2", "--out", runs.File("run"));
        Assert.False(Path.Exists(runs.File("run")));
    }

    [Fact]
    public void BlocksAreAsWideAsTheirAuthorsMadeThem()
    {
        using var device = new CpuDevice(1);
        Assert.NotEmpty(Zoo.NamesOf(ModelTask.SuperResolution));
        foreach (string name in Zoo.NamesOf(ModelTask.SuperResolution))
        {
            using var model = Zoo.Create(new ModelSpec(name) { Width = 0.25, ImageSize = 8 }, new Initializer(device));
            int width = name.Contains("_m11_") || name.Contains("_xl_") ? 64 : 256;
            Assert.Equal(width, ((ClbMethod)RefConv.Cli.Commands.SuperResolutionRun.MethodFor(model, "clb", [])!).Settings.Width);
            Assert.Equal(24, ((ClbMethod)RefConv.Cli.Commands.SuperResolutionRun.MethodFor(model, "clb", ["width=24"])!).Settings.Width);
            Assert.Null(RefConv.Cli.Commands.SuperResolutionRun.MethodFor(model, "none", []));
        }
    }
}
