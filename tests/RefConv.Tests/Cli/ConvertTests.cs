using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Tests.Formats;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary><c>refconv convert</c>: from PyTorch's file to a model file and back to the same bytes, and what it says when that cannot be.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class ConvertTests : IDisposable
{
    private static readonly string[] Tiny = ["--model", "mobilenet_v1", "--classes", "10", "--width", "0.0625", "--size", "32", "--small-images"];

    private readonly TemporaryFolder _folder = new();
    private readonly CpuDevice _device = new(1);
    private readonly Model _model;

    public ConvertTests()
    {
        _model = Zoo.Create(new ModelSpec("mobilenet_v1") { Classes = 10, Width = 0.0625, SmallImages = true, ImageSize = 32 }, new Initializer(_device, 9));
        ModelFile.SaveTorch(_model, In);
    }

    private string In => _folder.File("in.pth");

    private string Out => _folder.File("out.safetensors");

    public void Dispose()
    {
        _model.Dispose();
        _device.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void ThereAndBack()
    {
        var there = Good(["convert", In, Out, .. Tiny, "--json"]).Json;
        Assert.Equal(_model.ParameterCount(), there.GetProperty("parameters").GetInt64());
        using (var loaded = ModelFile.Load(Out, _device))
        {
            Assert.Equal(_model.Spec, loaded.Spec);
            foreach (var ((name, a), (_, b)) in _model.NamedParameters().Zip(loaded.NamedParameters())) Assert.True(a.ToArray().AsSpan().SequenceEqual(b.ToArray()), name);
        }
        Assert.Contains("164 tensors", Good("convert", Out, _folder.File("back.pth")).Out);
        Assert.Equal(File.ReadAllBytes(In), File.ReadAllBytes(_folder.File("back.pth")));
    }

    [Fact]
    public void ForOtherClassesTheClassifierIsLeftOut()
    {
        string[] seven = ["--model", "mobilenet_v1", "--classes", "7", "--width", "0.0625", "--size", "32", "--small-images"];
        Fails(1, "is for 10 classes and the model has 7", ["convert", In, Out, .. seven]);
        Assert.False(File.Exists(Out));
        Good(["convert", In, Out, .. seven, "--no-classifier"]);
        using var loaded = ModelFile.Load(Out, _device);
        Assert.Equal(_model.NamedParameters().First().Parameter.ToArray(), loaded.NamedParameters().First().Parameter.ToArray());
        Assert.Equal(7, loaded.NamedParameters().Last().Parameter.ToArray().Distinct().Count()); // drawn, not zero
    }

    [Theory]
    [InlineData(32, false, 1)]
    [InlineData(80, true, 3)]
    public void SizeVariantAndChannelsAreFree(int size, bool small, int channels)
    {
        var spec = new ModelSpec("mobilenet_v1") { Classes = 10, Width = 0.0625, SmallImages = small, ImageSize = size, InChannels = channels };
        using (var model = Zoo.Create(spec, new Initializer(_device, 9))) ModelFile.SaveTorch(model, In);
        Good("convert", In, Out, "--model", "mobilenet_v1", "--classes", "10", "--width", "0.0625", "--size", $"{size}", "--small-images", small ? "true" : "false", "--channels", $"{channels}");
        using var loaded = ModelFile.Load(Out, _device);
        Assert.Equal(spec, loaded.Spec);
        Fails(1, "--channels cannot be given", "convert", Out, _folder.File("x.pth"), "--channels", "1");
    }

    [Fact]
    public void WhatCannotBe()
    {
        Fails(1, "does not say of which architecture it is. Give it: --model NAME (mobilenet_v1,", "convert", In, Out);
        Fails(1, "Did you mean 'mobilenet_v1'?", "convert", In, Out, "--model", "mobilenetv1");
        Fails(1, "of another shape: model.", ["convert", In, Out, "--model", "mobilenet_v1", "--classes", "10", "--width", "0.25", "--size", "32"]);
        Fails(1, "is of another architecture: of this model's", "convert", In, Out, "--model", "mobilenet_v2", "--size", "32", "--width", "0.1");
        Fails(1, "There is no file", ["convert", _folder.File("none.pth"), Out, .. Tiny]);
        Fails(1, "is a folder. Give the file of weights", ["convert", _folder.Path, Out, .. Tiny]);
        Fails(1, "is a folder. Give the name of the file", ["convert", In, _folder.Path, .. Tiny]);
        Fails(1, "is of another architecture", ["convert", TorchFileTests.Golden("harm.zip"), Out, .. Tiny]);
        Fails(1, "save(model.state_dict(), PATH)", ["convert", TorchFileTests.Golden("whole_model.legacy"), Out, .. Tiny]);
        Assert.False(File.Exists(Out));
        Good(["convert", In, Out, .. Tiny]);
        Fails(1, "--model cannot be given", "convert", Out, _folder.File("x.pth"), "--model", "mobilenet_v2");
        Fails(1, "refconv convert IN OUT.safetensors --model NAME", "eval", In);
        Fails(2, "convert", "convert", In);
    }
}
