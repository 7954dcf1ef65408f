using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Imaging;

namespace RefConv.Tests.Models;

/// <summary>Models as files: all there is to a model comes back from the file alone, and damaged files are told in a sentence.</summary>
public sealed class ModelFileTests : DeviceTest
{
    private const string Key = "refconv.model";

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string, RefConvOptions?> Forms => new()
    {
        { "mobilenet_v1", null },
        { "mobilenet_v2", null },
        { "resnet18", null },
        { "mobilenet_v1", new() },
        { "mobilenet_v2", new() { MapK = 1, Init = RefocusInit.TorchDefault } },
        { "resnet18", new() { Shortcut = false } },
        { "mobilenet_v1", new() { BaseTrainable = true, BaseRandom = true, MapK = 5 } },
    };

    public static TheoryData<string, string> DamagedDescriptions => new()
    {
        { "{", "is damaged" },
        { "null", "is empty" },
        { "[]", "is damaged" },
        { "{}", "is empty" },
        { """{"version":1,"spec":{}}""", "is empty" },
        { """{"version":1,"spec":{"architecture":null}}""", "is empty" },
        { """{"version":1,"spec":{"architecture":"resnet18","classes":"ten"}}""", "is damaged" },
        { """{"version":3,"spec":{"architecture":"resnet18"}}""", "newer version of this tool (format 3" },
        { """{"version":1,"spec":{"architecture":"resnet19"}}""", "Did you mean 'resnet18'?" },
        { """{"version":1,"spec":{"architecture":"resnet18","classes":0}}""", "at least 2 classes" },
        { """{"version":1,"spec":{"architecture":"resnet18","classes":2000000000,"width":1,"inChannels":3,"imageSize":32}}""", "cannot be built" },
        { """{"version":1,"spec":{"architecture":"resnet18","classes":10,"width":1,"inChannels":2000000000,"imageSize":32}}""", "cannot be built" },
        { Small + ""","form":{}}""", "is damaged" },
        { Small + ""","form":{"method":"refconv","options":5,"layers":["model.1.0"]}}""", "is damaged" },
        { Small + ""","form":{"method":"dyrep","options":{"blocks":{"model.1.0":null}},"layers":["model.1.0"]}}""", "list of blocks says of 'model.1.0' null" },
        { Small + ""","form":{"method":"dyrep","options":{"blocks":{"model.1.0":5}},"layers":["model.1.0"]}}""", "list of blocks says of 'model.1.0' 5" },
        { Small + ""","form":{"method":"dyrep","options":{"scores":{"model.1.0":[null,null]}},"layers":["model.1.0"]}}""", "list of scores says of 'model.1.0' [null,null]" },
        { Small + ""","form":{"method":"dyrep","options":{"scores":{"model.1.0":[1,"two"]}},"layers":["model.1.0"]}}""", "list of scores" },
        { Small + ""","form":{"method":"dyrep","options":{"scores":{"model.1.0":{}}},"layers":["model.1.0"]}}""", "list of scores" },
        { Small + ""","form":{"method":"dyrep","options":{"blocks":{"model.1.0":""}},"layers":["model.1.0"]}}""", "cannot be built" },
        { Small + ""","data":{}}""", "a part is missing" },
        { Small + ""","data":{"name":"d","std":[1,1,1],"classNames":[]}}""", "a part is missing" },
        { Small + ""","data":{"name":"d","mean":[0,0,0],"std":[1,1,1]}}""", "a part is missing" },
        { Small + ""","data":{"mean":[0,0,0],"std":[1,1,1],"classNames":[]}}""", "a part is missing" },
        { Small + ""","data":{"name":"d","mean":[0],"std":[1],"classNames":[]}}""", "1 means and 1 deviations for 3 channels" },
        { Small + ""","data":{"name":"d","mean":[0,0,0],"std":[1,1],"classNames":[]}}""", "3 means and 2 deviations" },
        { Small + ""","data":{"name":"d","mean":[0,0,0],"std":[1,0,1],"classNames":[]}}""", "not above zero" },
        { Small + ""","data":{"name":"d","mean":[0,1e99,0],"std":[1,1,1],"classNames":[]}}""", "no finite number" },
        { Small + ""","data":{"name":"d","mean":[0,0,0],"std":[1,1,1],"classNames":["a","b"]}}""", "2 class names for 10 classes" },
        { Small + ""","data":{"name":"d","mean":[0,0,0],"std":[1,1,1],"classNames":["a","b","c","d","e","f","g","h","i",null]}}""", "a name is null" },
        { Small + ""","data":{"name":"d","mean":[0,0,0],"std":[1,1,1],"classNames":[],"resizeTo":31}}""", "resized to 31 before 32" },
        { Small + ""","data":{"name":"d","mean":[0,0,0],"std":[1,1,1],"classNames":[],"resizeTo":2000000000}}""", "resized to 2000000000" },
        { Small + ""","data":{"name":"d","mean":[0,0,0],"std":[1,1,1],"classNames":[],"interpolation":"lanczos"}}""", "is damaged" },
        { Small + ""","data":{"name":"d","mean":[0,0,0],"std":[1,1,1],"classNames":[],"interpolation":7}}""", "is damaged" },
        { Small + ""","form":{"method":"refconv"}}""", "is damaged" },
        { Small + ""","forms":[{"method":"refconv","options":{"mapK":3},"layers":[null]}]}""", "is damaged" },
        { Small + ""","form":{"method":"refconv","options":{"mapK":3,"init":"Zero","shortcut":true,"baseTrainable":false,"baseRandom":false},"layers":[]}}""", "would change nothing" },
        { Small + ""","form":{"method":"refconv","options":{"mapK":2},"layers":["model.1.0"]}}""", "must be odd" },
        { Small + ""","form":{"method":"refconv","options":{"init":"Magic"},"layers":["model.1.0"]}}""", "It can be XavierUniform" },
        { Small + ""","form":{"method":"refconv","options":{"mapK":"three"},"layers":["model.1.0"]}}""", "'mapK'" },
        { Small + ""","form":{"method":"magic","options":{"mapK":3,"init":"Zero","shortcut":true,"baseTrainable":false,"baseRandom":false},"layers":["model.1.0"]}}""", "no method 'magic'" },
        { Small + ""","form":{"method":"refconv","options":{"mapK":3,"init":"Zero","shortcut":true,"baseTrainable":false,"baseRandom":false},"layers":["model.99.0"]}}""", "no convolution named 'model.99.0'" },
    };

    private static string Small => """{"version":1,"spec":{"architecture":"mobilenet_v1","classes":10,"width":0.0625,"smallImages":true,"inChannels":3,"imageSize":32}""";

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void AFileIsAllThatIsNeeded(string architecture, RefConvOptions? options)
    {
        var spec = new ModelSpec(architecture) { Classes = 7, Width = 1 / 12.0, SmallImages = true, ImageSize = 28, InChannels = 1 };
        using var plain = Zoo.Create(spec, new Initializer(Cpu, 5));
        using var model = options == null ? null : plain.Expand(new RefConvMethod(options), LayerPolicy.LargerThan1, seed: 6);
        var saved = model ?? plain;
        var data = new DataInfo("digits \"0\" … 6", [0.13f], [1 / 3f], ["0", "1", "2", "3", "4", "5", "six"]) { Interpolation = Interpolation.Bicubic, ResizeTo = 31 };
        ModelFile.Save(saved, _folder.File("m"), data);
        using var loaded = ModelFile.Load(_folder.File("m"), Cpu, out var info);

        Assert.Equal(spec, loaded.Spec);
        Assert.Equal(saved.Forms.Select(Text), loaded.Forms.Select(Text));

        static string Text(TrainingForm f) => $"{f.Method.Name} {f.Method.Options.ToJsonString()} {string.Join(' ', f.Layers)}";
        Assert.Equal((data.Name, data.Mean[0], data.Std[0]), (info!.Name, info.Mean[0], info.Std[0]));
        Assert.Equal(data.ClassNames, info.ClassNames);
        Assert.Equal((Interpolation.Bicubic, 31), (info.Interpolation, info.ResizeTo));
        Assert.Equal(Describe(saved), Describe(loaded));
        Assert.False(loaded.Training);
        saved.Eval();
        using var probe = saved.Probe();
        using var tape = Tape.Inference();
        Assert.Equal(saved.Forward(probe).ToArray(), loaded.Forward(probe).ToArray());

        static List<string> Describe(Model m) => [.. m.NamedParameters().Select(p =>
            $"{p.Name} {p.Parameter.TorchShape} {p.Parameter.Trainable} {string.Join(' ', p.Parameter.ToTorch().Select(BitConverter.SingleToInt32Bits))}")];
    }

    [Fact]
    public void APlainFileHoldsPyTorchsTensorsAndNothingElse()
    {
        using var model = Plain();
        ModelFile.Save(model, _folder.File("m"));
        using var file = SafeTensorsFile.Open(_folder.File("m"));
        Assert.Equal(
            model.NamedParameters().Select(p => $"{p.Name} [{string.Join(", ", p.Parameter.TorchShape.Sizes.ToArray())}]").Order(StringComparer.Ordinal),
            file.Entries.Select(e => $"{e.Name} [{string.Join(", ", e.Shape)}]").Order(StringComparer.Ordinal));
        Assert.All(file.Entries, e => Assert.Equal(e.Name.EndsWith("num_batches_tracked", StringComparison.Ordinal) ? SafeTensorsType.I64 : SafeTensorsType.F32, e.Type));
    }

    [Fact]
    public void WeightsOfAnotherModelAreListedAndChangeNothing()
    {
        using var model = Plain();
        using var refocused = model.Expand(new RefConvMethod(), LayerPolicy.LargerThan1);
        using var wide = Zoo.Create(model.Spec with { Classes = 11 }, new Initializer(Cpu));
        ModelFile.Save(refocused, _folder.File("refocused"));
        ModelFile.Save(wide, _folder.File("wide"));
        ModelFile.Save(model, _folder.File("plain"));
        float[] before = model.NamedParameters().First().Parameter.ToArray();

        var unexpected = Fails(model, "refocused").Mismatch;
        Assert.Equal(refocused.Forms[0].Layers.Select(l => l + ".convmap.weight").Order(), unexpected.Unexpected.Order());
        Assert.Empty(unexpected.Missing);
        Assert.Empty(unexpected.Mismatched);
        Assert.Equal(unexpected.Unexpected.Order(), Fails(refocused, "plain").Mismatch.Missing.Order());
        var other = Fails(model, "wide");
        Assert.Equal(["fc.bias ([11] in the file, [10] in the model)", "fc.weight ([11, 64] in the file, [10, 64] in the model)"], other.Mismatch.Mismatched.Order());
        Assert.Contains("2 of another shape: fc.weight ([11, 64]", other.Message);
        Assert.Contains("is for 11 classes and the model has 10", other.Message);
        Assert.Equal(before, model.NamedParameters().First().Parameter.ToArray());

        // Not strict: the baseline goes into the refocused model; only the refocus weights are missing.
        Assert.Equal(unexpected.Unexpected.Order(), ModelFile.LoadWeights(refocused, _folder.File("plain"), strict: false).Missing.Order());

        StateDictException Fails(Model into, string file) => Assert.Throws<StateDictException>(() => ModelFile.LoadWeights(into, _folder.File(file)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(100)]
    [InlineData(-50000)]
    [InlineData(-1)]
    public void FilesCutOffAreTold(int length)
    {
        using var model = Plain();
        ModelFile.Save(model, _folder.File("whole"));
        byte[] bytes = File.ReadAllBytes(_folder.File("whole"));
        AssertOneSentence(_folder.Write("cut", bytes.AsSpan(0, length < 0 ? bytes.Length + length : length)), "");
    }

    [Theory]
    [MemberData(nameof(DamagedDescriptions))]
    public void DescriptionsThatMakeNoSenseAreTold(string json, string phrase)
    {
        SafeTensorsWriter.Write(_folder.File("m"), [], new Dictionary<string, string> { [Key] = json });
        AssertOneSentence(_folder.File("m"), phrase);
    }

    [Fact]
    public void ForeignFilesAreTold()
    {
        AssertOneSentence(_folder.Write("text", "hello, this is not a model at all"u8), "not a safetensors file");
        AssertOneSentence(_folder.Write("zip", "PK\u0003\u0004 and so on, as torch.save writes"u8), "PyTorch");
        SafeTensorsWriter.Write(_folder.File("other"), [SafeTensorsEntry.FromFloats("x", [1], new float[1])]);
        AssertOneSentence(_folder.File("other"), "does not say of which model");
        AssertOneSentence(_folder.Path, "is a folder");
        var missing = Assert.Throws<FileNotFoundException>(() => ModelFile.Load(_folder.File("none"), Cpu));
        Assert.Contains(_folder.File("none"), missing.Message);
    }

    [Fact]
    public void TensorsThatDoNotFitTheDescriptionAreListed()
    {
        SafeTensorsWriter.Write(_folder.File("m"), [SafeTensorsEntry.FromFloats("extra", [0, 5_000_000_000], Array.Empty<float>())],
            new Dictionary<string, string> { [Key] = Small + "}" });
        var e = Assert.ThrowsAny<Exception>(() => ModelFile.Load(_folder.File("m"), Cpu));
        Assert.True(e is StateDictException or FileFormatException, e.ToString());
        Assert.Contains(_folder.File("m"), e.Message);
        Assert.Contains("extra", e.Message);
    }

    /// <summary>A few words can describe billions of weights: memory is taken for what the file holds, not for what it says.</summary>
    [Theory]
    [InlineData("""{"version":1,"spec":{"architecture":"repvgg_b3","classes":1000,"width":1,"inChannels":3,"imageSize":224}}""")]
    [InlineData("""{"version":1,"spec":{"architecture":"mobilenet_v2","classes":10,"width":16,"smallImages":true,"inChannels":3,"imageSize":32}}""")]
    [InlineData("""{"version":1,"spec":{"architecture":"resnet18","classes":1000000,"width":0.0625,"smallImages":true,"inChannels":3,"imageSize":32}}""")]
    [InlineData("""{"version":2,"spec":{"architecture":"mobilenet_v1","classes":10,"width":0.0625,"smallImages":true,"inChannels":3,"imageSize":32},"forms":[{"method":"clb","options":{"width":2000000},"layers":["model.0.0"]}]}""")]
    [InlineData("""{"version":1,"spec":{"architecture":"mobilenet_v1","classes":10,"width":3,"smallImages":true,"inChannels":3,"imageSize":32},"form":{"method":"refconv","options":{"mapK":3},"layers":["model.1.0"]}}""")]
    public void DescriptionsOfMoreWeightsThanTheFileHasTakeNoMemory(string json)
    {
        SafeTensorsWriter.Write(_folder.File("m"), [SafeTensorsEntry.FromFloats("fc.bias", [1], new float[1])], new Dictionary<string, string> { [Key] = json });
        long before = GC.GetAllocatedBytesForCurrentThread();
        AssertOneSentence(_folder.File("m"), "more weights than the file");
        Assert.InRange(Cpu.Memory.PeakRentedBytes, 0, 16 << 20);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 << 20);
    }

    private void AssertOneSentence(string path, string phrase)
    {
        var e = Assert.Throws<FileFormatException>(() => ModelFile.Load(path, Cpu));
        Assert.StartsWith(path + ": ", e.Message);
        Assert.Contains(phrase, e.Message);
        Assert.DoesNotContain('\n', e.Message);
        Assert.DoesNotContain("(Parameter", e.Message);
    }

    private Model Plain() => TrainingBench.Model(Cpu, "mobilenet_v1");
}
