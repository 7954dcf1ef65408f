using System.Runtime.InteropServices;
using Onnx;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Imaging;
using RefConv.Onnx;

namespace RefConv.Tests.Onnx;

/// <summary>What stands in an exported file, and what is refused. Whether it computes the right thing: <see cref="OnnxParityTests"/>.</summary>
public sealed class OnnxExporterTests : DeviceTest
{
    private readonly TemporaryFolder _folder = new();

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Fact]
    public void AModelKeepsItsNames()
    {
        using var model = Plain("resnet18");
        var file = Parse(model);
        Assert.Equal((8, "refconv", "resnet18"), (file.IrVersion, file.ProducerName, file.Graph.Name));
        Assert.Equal(("", 17L), (file.OpsetImport.Single().Domain, file.OpsetImport.Single().Version));
        Assert.Equal("input [batch, 3, 32, 32]", Describe(file.Graph.Input.Single()));
        Assert.Equal("logits [batch, 10]", Describe(file.Graph.Output.Single()));
        Assert.Equal("logits", file.Graph.Node[^1].Output.Single());

        // Every norm is folded: a weight for each convolution under the key it had, and a bias that it did not have.
        string[] convs = [.. model.NamedModules().Where(m => m.Module is Conv2d).Select(m => m.Name)];
        Assert.Equal(convs.SelectMany(c => new[] { c + ".weight", c + ".bias" }).Concat(["fc.weight", "fc.bias"]).Order(), file.Graph.Initializer.Select(i => i.Name).Order());
        Assert.Equal(convs.Order(), file.Graph.Node.Where(n => n.OpType == "Conv").Select(n => n.Name).Order());
        Assert.Equal(["Add", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "Relu"], file.Graph.Node.Select(n => n.OpType).Distinct().Order());
        Assert.Contains(file.Graph.Node, n => n is { Name: "layer2.1.bn2", OpType: "Add" } && n.Input.SequenceEqual(["layer2.1.conv2", "layer2.0.bn2/Relu"]));
        Assert.Equal(file.Graph.Node.Count, file.Graph.Node.Select(n => n.Name).Distinct().Count());

        var state = StateDict.Of(model);
        Assert.All(file.Graph.Initializer.Where(i => i.Name.EndsWith("weight", StringComparison.Ordinal)),
            i => Assert.Equal(state[i.Name].Shape.Sizes.ToArray().Select(s => (long)s), i.Dims));
        // The linear layer has no norm behind it, so its numbers are the state dict's.
        Assert.Equal(state["fc.weight"].Read(), Values(file, "fc.weight"));
        Assert.Equal(state["fc.bias"].Read(), Values(file, "fc.bias"));
    }

    [Fact]
    public void ANormIsFoldedIntoTheConvBeforeIt()
    {
        using var model = Plain("mobilenet_v1");
        var norm = (BatchNorm2d)model.Find("model.1.1");
        float[] gamma = [.. Enumerable.Range(0, norm.Channels).Select(c => 1 + (0.1f * c))], variance = [.. gamma.Select(g => g * g / 4)], beta = [.. gamma.Select(g => g - 2)], mean = [.. gamma.Select(g => g / 8)];
        norm.Weight.FromTorch(gamma);
        norm.RunningVar.FromTorch(variance);
        norm.Bias.FromTorch(beta);
        norm.RunningMean.FromTorch(mean);
        var file = Parse(model);
        float[] plain = StateDict.Of(model)["model.1.0.weight"].Read(), folded = Values(file, "model.1.0.weight"), bias = Values(file, "model.1.0.bias");
        Assert.DoesNotContain(file.Graph.Node, n => n.OpType == "BatchNormalization");
        for (int c = 0; c < gamma.Length; c++)
        {
            double scale = gamma[c] / Math.Sqrt(variance[c] + 1e-5);
            Assert.Equal(beta[c] - (mean[c] * scale), bias[c], 1e-6);
            for (int i = 0; i < 9; i++) Assert.Equal(plain[(9 * c) + i] * scale, folded[(9 * c) + i], 1e-6);
        }
    }

    [Fact]
    public void ANormWithoutAConvBeforeItStaysOneUnderItsKeys()
    {
        using var net = new Sequential(new BatchNorm2d(new Initializer(Cpu), 4), new Conv2d(new Initializer(Cpu), 4, 4, 1, bias: false));
        net.Eval();
        OnnxExporter.Export(net, new Shape(1, 5, 6, 4), _folder.File("net.onnx"));
        var graph = ModelProto.Parser.ParseFrom(File.ReadAllBytes(_folder.File("net.onnx"))).Graph;
        Assert.Equal(["input", "0.weight", "0.bias", "0.running_mean", "0.running_var"], graph.Node.Single(n => n.OpType == "BatchNormalization").Input);
        Assert.Equal(["0", "1.weight"], graph.Node.Single(n => n.OpType == "Conv").Input);
    }

    [Fact]
    public void TheFileSaysWhatItIs()
    {
        using var model = Plain("mobilenet_v2");
        var data = new DataInfo("pets", [0.5f, 0.25f, 0.125f], [1, 2, 3], ["cat", "dog \"Rex\""]);
        var summary = OnnxExporter.Export(model, _folder.File("a.onnx"), new OnnxOptions { Data = data, ImageSize = 48 });
        byte[] bytes = File.ReadAllBytes(_folder.File("a.onnx"));
        Assert.Equal(bytes.Length, summary.Bytes);
        var file = ModelProto.Parser.ParseFrom(bytes);
        Assert.Equal("input [batch, 3, 48, 48]", Describe(file.Graph.Input.Single()));
        Assert.Equal(
            ["architecture=mobilenet_v2", "classes=10", "image_size=48", "data=pets", "mean=[0.5,0.25,0.125]", "std=[1,2,3]", "class_names=[\"cat\",\"dog \\u0022Rex\\u0022\"]"],
            file.MetadataProps.Select(p => $"{p.Key}={p.Value}"));
        Assert.Equal(file.Graph.Node.Count, summary.Operators.Values.Sum());

        var resized = data with { Interpolation = Interpolation.Bicubic, ResizeTo = 236 };
        OnnxExporter.Export(model, _folder.File("b.onnx"), new OnnxOptions { Data = resized, ImageSize = 48 });
        string[] told = [.. ModelProto.Parser.ParseFrom(File.ReadAllBytes(_folder.File("b.onnx"))).MetadataProps.Select(p => $"{p.Key}={p.Value}")];
        Assert.Equal(["data=pets", "resize_to=236", "interpolation=bicubic", "mean=[0.5,0.25,0.125]"], told[3..7]);

        OnnxExporter.Export(model, _folder.File("b.onnx"), new OnnxOptions { Data = data, ImageSize = 48 });
        Assert.Equal(bytes, File.ReadAllBytes(_folder.File("b.onnx"))); // one model, one file
        Assert.Equal(2, Directory.GetFiles(_folder.Path).Length); // and no temporary ones
    }

    [Fact]
    public void ARefocusedModelIsMergedFirstOrWrittenOnRequest()
    {
        using var model = Plain("mobilenet_v1");
        using var refocused = model.Expand(new RefConvMethod(), seed: 4);
        refocused.Eval();
        Refuses<InvalidOperationException>("Merge it first", refocused);
        var (merged, _) = refocused.Merge();
        using (merged)
        {
            var plain = Parse(merged);
            OnnxExporter.Export(refocused, _folder.File("form.onnx"), new OnnxOptions { TrainingForm = true });
            var form = ModelProto.Parser.ParseFrom(File.ReadAllBytes(_folder.File("form.onnx")));
            // The refocused kernel is computed from weights alone, so it is a weight of the file: the merged one.
            Assert.Equal(plain.Graph, form.Graph);
            Assert.Contains(form.MetadataProps, p => p is { Key: "training_form", Value: "refconv" });
            Assert.NotEqual(plain.Graph, Parse(model).Graph);
        }
    }

    [Fact]
    public void WhatCannotBeWrittenIsRefusedWithTheReason()
    {
        using var model = Plain("mobilenet_v2");
        model.Train();
        Refuses<InvalidOperationException>("Call Eval() first", model);
        model.Eval();
        Assert.Throws<DirectoryNotFoundException>(() => OnnxExporter.Export(model, _folder.File("no/where.onnx")));
        Assert.Throws<ArgumentException>(() => OnnxExporter.Export(model, _folder.File("x.onnx"), new OnnxOptions { ImageSize = 0 }));

        using Conv2d conv = new(new Initializer(Cpu), 3, 3, 1);
        Refuses<NotSupportedException>("Strange 'conv' cannot be written as ONNX", Evaluated((_, x) => new StrangeOp(x).Run(), conv));
        Refuses<NotSupportedException>("joins the images of a batch", Evaluated((net, x) => net["conv"].Forward(x).Sum(), conv));
        Refuses<NotSupportedException>("joins the images of a batch", Evaluated((net, x) => net["conv"].Forward(x).Reshape(new Shape(1, 8, 4, 3)), conv));
        Refuses<NotSupportedException>("Dropout belongs to training", Evaluated((net, x) => net["conv"].Forward(x).Dropout(0.5, 1, 1), conv));
        // Two recorded images of 4×4×3 happen to be a kernel 2×4 of 4 input and 3 output channels.
        Refuses<NotSupportedException>("weights that are computed from the input", Evaluated((_, x) => TensorOps.Concat(x, x.SliceChannels(0, 1)).Conv2d(x), conv));
        Refuses<InvalidOperationException>("does not depend on the input", Evaluated((net, _) => ((Conv2d)net["conv"]).Weight, conv));

        Assert.Contains("ONNX file that keeps them inside can have 2 GB", Assert.Throws<NotSupportedException>(() => OnnxExporter.CheckSize(3L << 30)).Message);
        OnnxExporter.CheckSize(2_000_000_000);
        Assert.Empty(Directory.GetFiles(_folder.Path));

        static Net Evaluated(Func<Net, Tensor, Tensor> forward, Module conv)
        {
            var net = new Net(forward, ("conv", conv.Clone()));
            net.Eval();
            return net;
        }
    }

    private void Refuses<TException>(string phrase, Module module) where TException : Exception
    {
        string path = _folder.File("refused.onnx");
        var e = Assert.Throws<TException>(() => module is Model model ? OnnxExporter.Export(model, path) : OnnxExporter.Export(module, new Shape(1, 4, 4, 3), path));
        Assert.Contains(phrase, e.Message);
        Assert.False(File.Exists(path));
        if (module is Net net) net.Dispose();
    }

    private Model Plain(string name)
    {
        var model = Zoo.Create(new ModelSpec(name) { Classes = 10, Width = 0.125, SmallImages = true, ImageSize = 32 }, new Initializer(Cpu, 3));
        model.Eval();
        return model;
    }

    private ModelProto Parse(Model model)
    {
        OnnxExporter.Export(model, _folder.File("parsed.onnx"));
        return ModelProto.Parser.ParseFrom(File.ReadAllBytes(_folder.File("parsed.onnx")));
    }

    private static float[] Values(ModelProto file, string name) =>
        MemoryMarshal.Cast<byte, float>(file.Graph.Initializer.Single(i => i.Name == name).RawData.Span).ToArray();

    private static string Describe(ValueInfoProto value) =>
        $"{value.Name} [{string.Join(", ", value.Type.TensorType.Shape.Dim.Select(d => d.DimParam.Length > 0 ? d.DimParam : $"{d.DimValue}"))}]";

    /// <summary>An operation that somebody adds to the engine and forgets here.</summary>
    private sealed class StrangeOp(Tensor x) : Op("Strange", "conv", x)
    {
        public Tensor Run() => Run(Inputs[0].Shape);

        protected override void Forward(IKernels kernels) => throw new InvalidOperationException("Recording must not compute.");

        protected internal override void Backward(IKernels kernels, BufferView dy) => throw new NotSupportedException();
    }
}
