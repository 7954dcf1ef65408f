using System.Buffers.Binary;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Train;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary>
/// Whatever is wrong with a command line, a file or a disk ends in one sentence on standard error and an exit code, and nothing is left half-written.
/// </summary>
[Collection(ConsoleCollection.Name)]
public sealed class CliErrorTests(CliTests.Pipeline pipeline) : IClassFixture<CliTests.Pipeline>, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<int, string, string> CommandLines => new()
    {
        // 2: the command line makes no sense.
        { 2, "Did you mean 'train'?", "trian" },
        { 2, "Did you mean 'train'?", "trian --help" },
        { 2, "Required command", "" },
        { 2, "Did you mean '--epochs'?", "train --epchs 3" },
        { 2, "Did you mean '--epochs'? See `refconv train --help`.", "train --epchs 3 --help" },
        { 2, "Did you mean '--map-k'?", "refocus --mapk 3" },
        { 2, "there is no option '--metod'. Did you mean '--method'?", "summary --metod" },
        { 2, "there is no option '--limt'. Did you mean '--limit'?", "eval --limt 5 model" },
        { 2, "there is no argument 'more'", "devices more" },
        { 2, "--lr takes a number, not 'fast'", "train --lr fast" },
        { 2, "--epochs takes a whole number (up to 2,147,483,647), not 'many'", "train --epochs many" },
        { 2, "--batch takes a whole number (up to 2,147,483,647), not '99999999999'", "train --batch 99999999999" },
        { 2, "--limit takes a whole number", "train --limit 2.5" },
        { 2, "--seed takes a whole number (not below 0), not '-1'", "train --seed -1" },
        { 2, "'--epochs'", "train --epochs" },
        { 2, "'--out' is required", "merge --from x" },
        { 2, "'eval'", "eval" },

        { 2, "Did you mean '--quick'?", "bench --quik" },
        { 2, "--rounds takes a whole number", "bench --rounds many" },
        { 2, "there is no option '--child2'", "bench --child2 x" },

        // 1: it could not be done.
        { 1, "Did you mean 'shapes'?", "train --data shaps" },
        { 1, "Did you mean 'cifar10:DIR'?", "train --data cifar:/x" },
        { 1, "Did you mean 'mobilenet_v2'?", "train --model mobilenet-v2" },
        { 1, "Did you mean 'reference'?", "train --device referenc" },
        { 1, "Known are auto, cpu, reference", "eval x --device gpu" },
        { 1, "device 'cuda:99'", "eval x --device cuda:99" },
        { 1, "device 'opencl:99'", "train --device opencl:99" },
        { 1, "--precision is for GPUs", "eval x --device cpu --precision tf32" },
        { 1, "Did you mean 'tf32'?", "demo --precision tf23" },
        { 1, "Did you mean 'xavier'?", "refocus --from x --init xaver" },
        { 1, "map_k must be odd", "refocus --from x --map-k 2" },
        { 1, "map_k must be odd", "summary --set mapK=0 --width 0.1 --size 32" },
        { 1, "no method 'refcon'. Did you mean 'refconv'?", "summary --method refcon" },
        { 1, "Did you mean 'mapK'?", "summary --set mapk=3" },
        { 1, "'mapK' is \"three\"", "summary --set mapK=three" },
        { 1, "the method is none", "summary --method none --set mapK=3" },
        { 1, "the method is none", "summary --method none --layers k3 --width 0.1 --size 32" },
        { 1, "--set mapK=NaN: the value must be a finite number", "summary --set mapK=NaN" },
        { 1, "--set initial=1e999: the value must be a finite number", "summary --method asr --set initial=1e999" },
        { 1, "'mapK' is 0.5", "summary --set mapK=.5 --width 0.1 --size 32" },
        { 1, "map_k must be odd (an even one would enlarge the kernel); it is 2", "summary --set mapK=+02. --width 0.1 --size 32" },
        { 1, "dyrep has no such option. It takes every=5, lastEpoch=100, score=\"Synflow\", recalibrationBatches=0, cut=true.", "summary --method dyrep --set blocks=x" },
        { 1, "asr has no such option", "summary --method asr --set merged=true" },
        { 1, "wn has no such option. It takes none.", "summary --method wn --set g=1" },
        { 1, "--method is for an architecture of --model", "summary nope --method clb" },
        { 1, "--set is for an architecture of --model", "summary nope --set mapK=3" },
        { 1, "--width is for an architecture of --model", "summary nope --width 0.5" },
        { 1, "say whose option it is: METHOD.NAME=VALUE", "compare --set every=1" },
        { 1, "say whose option it is: METHOD.NAME=VALUE", "compare --set every=0.5" },
        { 1, "'dyrp' is no method of this comparison. Did you mean 'dyrep'?", "compare --set dyrp.every=1" },
        { 1, "'dyrep' is no method of this comparison.", "compare --methods wn --set dyrep.every=1" },
        { 1, "Did you mean 'every'?", "compare --set dyrep.evry=1" },
        { 1, "no method 'acx'", "compare --methods acx --data shapes --limit 20 --test-limit 20" },
        { 1, "--seeds must be at least 1", "compare --seeds 0" },
        { 1, "epochs must be at least 1; it is -1", "train --epochs -1" },
        { 1, "limit on the number of pictures must be at least 1", "train --limit -5" },
        { 1, "limit on the number of pictures must be at least 1", "train --test-limit 0" },
        { 1, "batch size must be at least 1", "train --batch -2" },
        { 1, "learning rate must be above 0", "train --lr -1" },
        { 1, "learning rate must be above 0", "train --lr NaN" },
        { 1, "weight decay must be at least 0", "train --weight-decay -0.1" },
        { 1, "warm-up must be between 0 and the 12 epochs", "train --warmup -1" },
        { 1, "label smoothing must be at least 0 and below 1", "train --label-smoothing 1.5" },
        { 1, "crop padding must be at least 0", "train --crop-padding -1" },
        { 1, "width multiplier must be above 0", "train --width -1" },
        { 1, "--threads must be between 0 (all cores) and 1024; it is -1", "train --threads -1" },
        { 1, "--stop-after must be at least 1", "train --stop-after 0" },
        { 1, "--stop-after must be at least 1", "refocus --from x --stop-after 0" },
        { 1, "--seeds must be at least 1", "demo --seeds 0" },
        { 1, "needs at least 2 classes", "summary --classes 1" },
        { 1, "not possible", "summary --size 0" },
        { 1, "There is no file 'nope'", "refocus --from nope" },
        { 1, "There is no file 'nope'", "eval nope" },
        { 1, "There is no file 'nope'", "summary nope" },
        { 1, "There is no file 'nope'", "merge --from nope --out x" },
        { 1, "holds no run to go on with", "train --resume nope" },
        { 1, "There is no class 'dens'. Did you mean 'dense'? Known are dense, dense_fast, pointwise,", "bench --class dens" },
        { 1, "No case contains 'nope'. `--list` shows them all", "bench --only nope" },
        { 1, "No case of the class grouped contains 'resnet.stem'", "bench --class grouped --only resnet.stem" },
        { 1, "--threads must be between 0 (all cores) and 1024; it is -1", "bench --threads -1" },
        { 1, "--rounds must be at least 1", "bench --rounds -1" },
        { 1, "--budget must be at least 1 second", "bench --budget -1" },
        { 1, "must end in .md (tables) or .json (all figures); it is 'x.txt'", "bench --out x.txt" },
        { 1, "there is no folder", "bench --out /no/such/folder/x.md" },
        { 1, "--explain is for layer cases", "bench --explain --class train" },
        { 1, "--profile is for training and inference cases", "bench --profile --class memory" },
        { 1, "Install it with `apt-get install", "bench --peers --python /no/such/python --only cifar.dw3x3.512" },
        { 1, "/no/such/folder", "train --data cifar10:/no/such/folder" },
    };

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(CommandLines))]
    public void WrongCommandLines(int code, string phrase, string line)
    {
        string[] args = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        bool writes = args.Length > 1 && args[0] is "train" or "refocus" or "demo" && !args.Contains("--resume");
        // Wherever a run would be kept: nothing is there afterwards.
        string run = _folder.File("run");
        Fails(code, phrase, code == 1 && writes ? [.. args, "--out", run, .. line.Contains("limit") ? [] : new[] { "--limit", "10" }] : args);
        Assert.False(Path.Exists(run));
    }

    [Fact]
    public void ModelsInTheWrongForm()
    {
        string plain = pipeline.PlainFile, refocused = pipeline.RefocusedFile;
        Fails(1, "Nothing to merge", "merge --from".Split(' ').Append(plain).Append("--out").Append(_folder.File("m")).ToArray());
        Fails(1, "in refconv form already. Merge it first", "refocus", "--from", refocused, "--out", _folder.File("m"));
        Fails(1, "holds a run already", ["train", .. Tiny, "--width", "0.0625", "--epochs", "1", "--out", Path.GetDirectoryName(plain)!]);
        Fails(1, "is a file. Choose another folder", ["train", .. Tiny, "--width", "0.0625", "--epochs", "1", "--out", plain]);
        Fails(1, "more than the 40 pictures", "train", "--limit", "40", "--test-limit", "20", "--batch", "41", "--out", _folder.File("m"));
        Fails(1, "crop padding of 33 does not suit", ["train", .. Tiny, "--crop-padding", "33", "--out", _folder.File("m")]);
        AssertNothingIn(_folder.Path);
    }

    [Fact]
    public void FilesThatAreNoModels()
    {
        byte[] whole = File.ReadAllBytes(pipeline.RefocusedFile);
        string cut = _folder.Write("cut", whole.AsSpan(0, whole.Length - 1)), text = _folder.Write("text", "not a model, just some words"u8), missing = _folder.File("m");
        string empty = Directory.CreateDirectory(_folder.File("empty")).FullName;
        foreach (var (file, phrase) in new[] { (cut, "cut"), (text, "not a safetensors file"), (_folder.Path, "is a folder") })
        {
            Fails(1, phrase, "eval", file, "--limit", "10");
            Fails(1, phrase, "summary", file);
            Fails(1, phrase, "merge", "--from", file, "--out", missing);
            Fails(1, phrase, "refocus", "--from", file, "--out", missing);
        }
        Fails(1, "is a folder. Give the name of the file to write", "merge", "--from", pipeline.RefocusedFile, "--out", empty);
        Fails(1, "there is no folder", "merge", "--from", pipeline.RefocusedFile, "--out", _folder.File("none/m"));
        Fails(1, "holds no run to go on with", "train", "--resume", empty);
        Assert.Equal(["cut", "empty", "text"], Directory.GetFileSystemEntries(_folder.Path).Select(Path.GetFileName).Order());
        AssertNothingIn(empty);
    }

    [Fact]
    public void OtherPicturesThanTheModelWasTrainedOn()
    {
        WriteGreyDigits();
        Fails(1, "pictures of 1 channels, the model takes 3", "eval", pipeline.PlainFile, "--data", $"mnist:{_folder.Path}");
        Fails(1, "pictures of 1 channels, the model takes 3", "refocus", "--from", pipeline.PlainFile, "--batch", "2", "--data", $"mnist:{_folder.Path}", "--out", _folder.File("run"));
        using var device = new CpuDevice(1);
        using var model = Zoo.Create(new ModelSpec("mobilenet_v1") { Classes = 7, Width = 0.0625, SmallImages = true, ImageSize = 32 }, new Initializer(device));
        ModelFile.Save(model, _folder.File("seven"));
        Fails(1, "shapes test has 10 classes, the model 7", "eval", _folder.File("seven"), "--limit", "10");
        Assert.False(Path.Exists(_folder.File("run")));
        // Grey pictures of their own are no problem.
        Good("train", "--data", $"mnist:{_folder.Path}", "--batch", "2", "--epochs", "1", "--width", "0.0625", "--out", _folder.File("grey"));
    }

    [Fact]
    public void ADivergingRun()
    {
        string run = _folder.File("run");
        Fails(1, "training diverged and was stopped", ["train", .. Tiny, "--width", "0.0625", "--epochs", "2", "--warmup", "0", "--lr", "1e30", "--out", run]);
        Assert.Equal(["recipe.json", "run.json"], Directory.GetFiles(run).Select(Path.GetFileName).Order());
        // The folder holds no run, so the next try may take it.
        Good(["train", .. Tiny, "--width", "0.0625", "--epochs", "1", "--out", run]);
    }

    [UnixFact("/proc/version")]
    public void FoldersThatCannotBeWritten()
    {
        Fails(1, "/proc/nope", ["train", .. Tiny, "--width", "0.0625", "--epochs", "1", "--out", "/proc/nope"]);
        Fails(1, "/proc/nope", ["demo", .. Tiny, "--width", "0.0625", "--epochs", "1", "--out", "/proc/nope"]);
        Fails(1, "/proc/nope", "merge", "--from", pipeline.RefocusedFile, "--out", "/proc/nope");
    }

    [UnixFact("/dev/full")]
    public void AFullDisk()
    {
        Fails(1, "/dev/full", "merge", "--from", pipeline.RefocusedFile, "--out", "/dev/full");

        // The best weights go to the full disk, by a link: the run stops and leaves no half file behind.
        string run = Directory.CreateDirectory(_folder.File("run")).FullName;
        File.CreateSymbolicLink(new RunFolder(run).BestFile, "/dev/full");
        Fails(1, "best.safetensors", ["train", .. Tiny, "--width", "0.0625", "--epochs", "1", "--out", run]);
        Assert.Equal(["best.safetensors", "recipe.json", "run.json"], Directory.GetFileSystemEntries(run).Select(Path.GetFileName).Order());
        Assert.True(File.Exists("/dev/full"));
    }

    private static void AssertNothingIn(string folder) => Assert.Empty(Directory.GetFileSystemEntries(folder));

    /// <summary>The four files of MNIST with a few black pictures.</summary>
    private void WriteGreyDigits()
    {
        foreach (var (name, count) in new[] { ("train", 20), ("t10k", 10) })
        {
            byte[] images = new byte[16 + (count * 784)], labels = new byte[8 + count];
            int[] imageHeader = [0x803, count, 28, 28], labelHeader = [0x801, count];
            for (int i = 0; i < 4; i++) BinaryPrimitives.WriteInt32BigEndian(images.AsSpan(4 * i), imageHeader[i]);
            for (int i = 0; i < 2; i++) BinaryPrimitives.WriteInt32BigEndian(labels.AsSpan(4 * i), labelHeader[i]);
            for (int i = 0; i < count; i++) labels[8 + i] = (byte)(i % 10);
            for (int i = 16; i < images.Length; i++) images[i] = (byte)(i * 37);
            _folder.Write($"{name}-images-idx3-ubyte", images);
            _folder.Write($"{name}-labels-idx1-ubyte", labels);
        }
    }
}
