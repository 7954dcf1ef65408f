using System.Diagnostics;
using System.Globalization;
using RefConv.IO;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Formats;

/// <summary>Weights that go to PyTorch and come back: bit for bit, and with the same scores on both sides.</summary>
public sealed class TorchInterchangeTests : DeviceTest
{
    private const string Script = """
        import sys, torch, torchvision
        torch.set_num_threads(1)
        folder = sys.argv[1]
        state = torch.load(folder + "/ours.pth")
        model = torchvision.models.mobilenet_v2(num_classes=10).eval()
        model.load_state_dict(state, strict=True)
        x = torch.arange(3 * 64 * 64, dtype=torch.int64)
        x = (((x * 7919 + 1000 * 104729) % 1009).double() / 1009 - 0.5).float().reshape(1, 3, 64, 64)
        with torch.no_grad():
            print(*("%.9g" % v for v in model(x)[0].tolist()))
        torch.save({"epoch": 3, "model": {"module." + k: v for k, v in model.state_dict().items()}}, folder + "/zip.pth")
        torch.save(model.state_dict(), folder + "/legacy.pth", _use_new_zipfile_serialization=False)
        types = torch.load(folder + "/types.pth")
        print(*(f"{k}:{str(v.dtype)[6:]}:{list(v.shape)}:{v.flatten().tolist()}".replace(" ", "") for k, v in types.items()))
        """;

    private readonly TemporaryFolder _folder = new();

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [TorchFact]
    public void ThereAndBack()
    {
        var spec = new ModelSpec("mobilenet_v2") { Classes = 10, ImageSize = 64 };
        using var model = Zoo.Create(spec, new Initializer(Cpu, 5));
        Scatter(model);
        model.Eval();
        ModelFile.SaveTorch(model, _folder.File("ours.pth"));
        TorchWriter.Write(_folder.File("types.pth"),
        [
            SafeTensorsEntry.FromFloats("half", [2, 2], new[] { 1f, -0.5f, 2, 3 }, SafeTensorsType.F16),
            SafeTensorsEntry.FromFloats("brain", [1, 3], new[] { 1f, -0.5f, 2 }, SafeTensorsType.BF16),
            SafeTensorsEntry.FromFloats("double", [], new[] { 0.25f }, SafeTensorsType.F64),
            SafeTensorsEntry.FromInt64("long", [2], new[] { -1, 1L << 40 }),
            SafeTensorsEntry.FromBytes("flags", SafeTensorsType.Bool, [2], new byte[] { 1, 0 }),
            SafeTensorsEntry.FromFloats("none", [0, 3], Array.Empty<float>()),
        ]);
        string[] answer = Python().Split('\n');

        float[] image = [.. ToChannelsLast(Golden(3 * 64 * 64, 1000), 1, 3, 64, 64).Select(v => (float)v)];
        float[] scores = model.Predict(image, 1);
        double[] theirs = [.. answer[0].Split(' ').Select(v => double.Parse(v, CultureInfo.InvariantCulture))];
        double tolerance = 1e-4 * theirs.Max(Math.Abs);
        Assert.True(theirs.Max() - theirs.Min() > 0.1, answer[0]);
        for (int i = 0; i < scores.Length; i++) Assert.Equal(theirs[i], scores[i], tolerance);
        Assert.Equal(
            "half:float16:[2,2]:[1.0,-0.5,2.0,3.0] brain:bfloat16:[1,3]:[1.0,-0.5,2.0] double:float64:[]:[0.25] long:int64:[2]:[-1,1099511627776] flags:bool:[2]:[True,False] none:float32:[0,3]:[]",
            answer[1]);

        foreach (string file in new[] { "zip.pth", "legacy.pth" })
        {
            using var back = Zoo.Create(spec, Initializer.ForLoading(Cpu));
            Assert.True(ModelFile.LoadWeights(back, _folder.File(file)).IsEmpty);
            foreach (var ((name, a), (_, b)) in model.NamedParameters().Zip(back.NamedParameters())) Assert.True(a.ToArray().AsSpan().SequenceEqual(b.ToArray()), $"{file} {name}");
        }
    }

    /// <summary>Norms as training leaves them; fresh ones hide mistakes.</summary>
    private static void Scatter(Model model)
    {
        ulong tag = 0;
        foreach (var (name, parameter) in model.NamedParameters().Where(p => p.Parameter.TorchShape.Rank == 1))
        {
            double[] values = Normal(parameter.TorchShape.Count, ++tag);
            bool positive = name.EndsWith("running_var", StringComparison.Ordinal) || name.EndsWith("weight", StringComparison.Ordinal);
            parameter.FromTorch(values.Select(v => positive ? 1 + (0.2 * Math.Tanh(v)) : 0.2 * v).ToArray());
        }
    }

    private string Python()
    {
        File.WriteAllText(_folder.File("script.py"), Script);
        using var process = Process.Start(new ProcessStartInfo(TorchFactAttribute.Python, ["script.py", "."])
        {
            WorkingDirectory = _folder.Path, RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        var error = process.StandardError.ReadToEndAsync();
        string result = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, error.Result);
        return result;
    }
}

/// <summary>A test that asks PyTorch itself; skipped, with the reason, where it is not installed.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class TorchFactAttribute : FactAttribute
{
    public TorchFactAttribute()
    {
        if (!File.Exists(Python) || !Directory.Exists("/usr/lib/python3/dist-packages/torchvision"))
            Skip = "needs PyTorch and torchvision of the system's Python (Debian: apt-get install python3-torch python3-torchvision)";
    }

    public static string Python => "/usr/bin/python3";
}
