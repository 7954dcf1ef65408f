using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Models;

/// <summary>Where in a file the weights are: under any prefix, among anything else, one of several sets. They come in bit for bit, and what was not taken is told; or one sentence says what to do.</summary>
public sealed class WeightPlacesTests : DeviceTest
{
    private static readonly ModelSpec s_spec = new("mobilenet_v1") { Classes = 10, Width = 0.0625, ImageSize = 32, SmallImages = true };

    private readonly TemporaryFolder _folder = new();
    private readonly Model _model, _other;

    public WeightPlacesTests() => (_model, _other) = (Zoo.Create(s_spec, new Initializer(Cpu, 5)), Zoo.Create(s_spec, new Initializer(Cpu, 6)));

    public override void Dispose()
    {
        _model.Dispose();
        _other.Dispose();
        _folder.Dispose();
        base.Dispose();
    }

    [Theory]
    [InlineData("")]
    [InlineData("module.")]
    [InlineData("_orig_mod.module.")]
    [InlineData("state_dict.model._orig_mod.")]
    [InlineData("model.model.")]
    [InlineData("model.backbone.")]
    [InlineData("module.encoder_q.")]
    [InlineData("state_dict.my_own-name.0.net.")]
    [InlineData("model_ema.module.")]
    public void UnderAnyPrefix(string prefix)
    {
        var report = Read([.. State(_model, prefix), Extra(prefix + "n_averaged"), Extra("criterion.pos_weight", 10), Extra("queue", 3, 4)]);
        Assert.Equal(prefix.TrimEnd('.'), report.Prefix);
        Assert.Contains("queue", report.LeftOut);
        Assert.Equal(3, report.LeftOut.Count);
        Assert.Equal(prefix.Contains("ema", StringComparison.Ordinal) ? 1 : 0, report.Notes.Count);
    }

    [Fact]
    public void WrappersInsideNames()
    {
        Assert.Equal("", Read(State(_model, "").Select(e => (e.Name.Replace("model.", "model.module.", StringComparison.Ordinal), e.Shape, e.Values))).Prefix);
        Assert.Equal("net", Read(State(_model, "net.").Select(e => (e.Name.Replace("model.3.", "model._checkpoint_wrapped_module.3.", StringComparison.Ordinal), e.Shape, e.Values))).Prefix);
    }

    [Fact]
    public void WhatIsNoPartOfTheModelIsLeftOutAndTold()
    {
        var report = Read([.. State(_model, "backbone."), .. State(_model, "backbone.").Where(e => e.Name.EndsWith(".running_var", StringComparison.Ordinal)).Select(e => Extra(e.Name.Replace("running_var", "total_ops", StringComparison.Ordinal), 1)),
            Extra("backbone.mean", 3, 1, 1), Extra("neck.conv.weight", 2, 2), Extra("neck.conv.bias", 2), Extra("backbone.aux_head.weight", 5)]);
        Assert.Equal(["total_ops (27 counters of a profiler)", "backbone.mean", "backbone.aux_head.weight", "neck.… (2 tensors)"], report.LeftOut);
    }

    /// <summary>A deeper network holds all tensors of a smaller one: taking them would be another network.</summary>
    [Theory]
    [InlineData("model.14.0.weight")]
    [InlineData("model.3.6.bias")]
    [InlineData("fc2.weight")]
    [InlineData("model.0.1.scale")]
    public void WhatGoesOnWhereTheModelEndsIsAnotherNetwork(string name)
    {
        var e = Assert.Throws<StateDictException>(() => Read([.. State(_model, "net."), Extra("net." + name, 2)]));
        Assert.Contains($"1 unexpected: {name}", e.Message);
    }

    [Fact]
    public void CountersAreMissingOrVectorsOfOne()
    {
        foreach (var parameter in _model.NamedParameters().Where(p => p.Parameter.IsInteger).Select(p => p.Parameter)) parameter.FromTorch([7f]);
        Read(State(_model, "").Select(e => e.Name.EndsWith("num_batches_tracked", StringComparison.Ordinal) ? (e.Name, [1], e.Values) : e));
        Write(State(_model, "").Where((e, i) => i % 4 == 1 || !e.Name.EndsWith("num_batches_tracked", StringComparison.Ordinal)));
        Assert.True(ModelFile.LoadWeights(_other, _folder.File("w")).IsEmpty);
        Assert.Equal([0f, 7f], _other.NamedParameters().Where(p => p.Parameter.IsInteger).Select(p => p.Parameter.ToArray()[0]).Distinct().Order());
    }

    [Theory]
    [InlineData("state_dict", "state_dict_ema")]
    [InlineData("model", "model_ema.module")]
    [InlineData("state_dict.model", "state_dict.ema_model.module")]
    [InlineData("network", "swa")]
    [InlineData("params", "averaged")]
    public void AveragesAreTakenWhenAskedFor(string raw, string average)
    {
        using var second = Zoo.Create(s_spec, new Initializer(Cpu, 77));
        IEnumerable<(string, int[], float[])> both = [.. State(second, average + "."), .. State(_model, raw + ".")];
        var report = Read(both);
        Assert.Equal(raw, report.Prefix);
        Assert.Equal([average], report.NotTaken);
        Assert.Empty(report.LeftOut);
        report = Read(both, second, average);
        Assert.Equal(average, report.Prefix);
        Assert.Contains("is an average of weights", Assert.Single(report.Notes));
        Assert.Equal(average, Read(both, second, average.Split('.')[0] == raw.Split('.')[0] ? average : average.Split('.')[0]).Prefix);
        Assert.Equal(average, Read(State(second, average + "."), second).Prefix); // alone there is nothing to choose
    }

    [Fact]
    public void OfTwoEqualsOneIsAskedFor()
    {
        using var second = Zoo.Create(s_spec, new Initializer(Cpu, 77));
        IEnumerable<(string, int[], float[])> both = [.. State(second, "student."), .. State(_model, "teacher.net.")];
        Assert.EndsWith("holds 2 sets of weights that fit: 'student', 'teacher.net'. Say which one: --prefix student, for example.", Assert.Throws<FileFormatException>(() => Read(both)).Message);
        Assert.Equal("teacher.net", Read(both, prefix: "teacher").Prefix);
        Assert.Equal("student", Read(both, second, "student.").Prefix);
        Assert.Contains("holds nothing under 'pupil'. Its tensors are under student.… (164 tensors), teacher.… (164 tensors)", Assert.Throws<FileFormatException>(() => Read(both, prefix: "pupil")).Message);
        Assert.Contains("those without a prefix, 'student'", Assert.Throws<FileFormatException>(() => Read([.. State(second, "student."), .. State(_model, "")])).Message);
        Assert.Equal("", Read([.. State(second, "student."), .. State(_model, "")], prefix: "").Prefix);
    }

    [Fact]
    public void TheClassifierMayStandApart()
    {
        var report = Read(State(_model, "backbone.").Select(e => (e.Name.Replace("backbone.fc.", "head.fc.", StringComparison.Ordinal), e.Shape, e.Values)));
        Assert.Equal("The classifier is 'head.fc'.", Assert.Single(report.Notes));
        Assert.Empty(report.LeftOut);
        var without = State(_model, "backbone.").Where(e => !e.Name.Contains("fc", StringComparison.Ordinal));
        Assert.Contains("has all of this model but its classifier (fc.weight, fc.bias). Leave it out to train it anew: --no-classifier.", Assert.Throws<StateDictException>(() => Read(without)).Message);
        Write(without);
        Assert.True(ModelFile.LoadWeights(_other, _folder.File("w"), classifier: false).IsEmpty);
        Write([.. without, Extra("backbone.fc.0.weight", 5, 5), Extra("backbone.fc.3.weight", 10, 5)]);
        Assert.True(ModelFile.LoadWeights(_other, _folder.File("w"), classifier: false).IsEmpty);
    }

    [Fact]
    public void OfAnotherArchitectureNothingFalseIsSaid()
    {
        using var other = Zoo.Create(s_spec with { Architecture = "mobilenet_v2", Width = 0.1 }, new Initializer(Cpu, 3));
        string message = Assert.Throws<StateDictException>(() => Read(State(other, "state_dict.model."))).Message;
        Assert.Contains("is of another architecture: of this model's 164 tensors 137 were not found under any prefix", message);
    }

    [Fact]
    public void BackgroundClassesOfTensorFlowAreNamed()
    {
        using var many = Zoo.Create(s_spec with { Classes = 1001 }, new Initializer(Cpu, 3));
        Assert.Contains("1001 are ImageNet's 1000 behind a background class", Assert.Throws<StateDictException>(() => Read(State(many, "module."))).Message);
    }

    [Theory]
    [InlineData("mobilenet_v2", null, false, true)]
    [InlineData("mobilenet_v2", true, true, false)]
    [InlineData("mobilenet_v2", false, false, false)]
    [InlineData("resnet18", null, false, false)] // the stems have other shapes
    [InlineData("resnet20", null, false, false)] // there is one form only
    public void TheVariantForSmallImagesIsAskedFor(string architecture, bool? asked, bool expected, bool told)
    {
        var spec = new ModelSpec(architecture) { Classes = 10, Width = 0.1, ImageSize = 32 };
        using var model = Zoo.Create(spec with { SmallImages = expected }, new Initializer(Cpu, 3));
        ModelFile.SaveTorch(model, _folder.File("w.pth"));
        using var read = new ForeignModel(spec, asked, null).Read(_folder.File("w.pth"), new WeightRequest(), Cpu, 1, out var report);
        Assert.Equal(expected, read.Spec.SmallImages);
        Assert.Equal(told ? 1 : 0, report.Notes.Count(n => n.Contains("--small-images", StringComparison.Ordinal)));
    }

    [Fact]
    public void ShapesTellTheVariantWhereTheyCan()
    {
        var spec = new ModelSpec("resnet18") { Classes = 10, Width = 0.1, ImageSize = 96 };
        using var model = Zoo.Create(spec with { SmallImages = true }, new Initializer(Cpu, 3));
        ModelFile.SaveTorch(model, _folder.File("w.pth"));
        using var read = new ForeignModel(spec, null, null).Read(_folder.File("w.pth"), new WeightRequest(), Cpu, 1, out var report);
        Assert.True(read.Spec.SmallImages);
        Assert.Contains("its shapes say so", Assert.Single(report.Notes));
        Assert.Throws<StateDictException>(() => new ForeignModel(spec, false, null).Read(_folder.File("w.pth"), new WeightRequest(), Cpu, 1, out _));
    }

    private static (string Name, int[] Shape, float[] Values) Extra(string name, params int[] shape) => (name, shape, [.. Enumerable.Repeat(1f, shape.Aggregate(1, (a, b) => a * b))]);

    private static IEnumerable<(string Name, int[] Shape, float[] Values)> State(Model model, string prefix) =>
        StateDict.Of(model).Select(e => (prefix + e.Key, e.Value.Shape.Sizes.ToArray(), e.Value.Read()));

    private void Write(IEnumerable<(string Name, int[] Shape, float[] Values)> tensors) =>
        TorchWriter.Write(_folder.File("w"), tensors.Select(t => SafeTensorsEntry.FromFloats(t.Name, t.Shape.Select(s => (long)s), t.Values)));

    /// <summary>Loads them into the other model, which must then be this one, or the one given.</summary>
    private WeightReport Read(IEnumerable<(string Name, int[] Shape, float[] Values)> tensors, Model? expected = null, string? prefix = null)
    {
        Write(tensors);
        using var file = TensorFile.Open(_folder.File("w"));
        WeightLoader.Load(_other, file, new WeightRequest { Prefix = prefix }, KeyMaps.For(_other.Spec), out var report);
        foreach (var ((name, a), (_, b)) in (expected ?? _model).NamedParameters().Zip(_other.NamedParameters())) Assert.True(a.ToArray().AsSpan().SequenceEqual(b.ToArray()), name);
        return report;
    }
}
