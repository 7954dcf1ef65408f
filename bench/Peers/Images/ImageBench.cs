using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using RefConv.Bench.Peers;
using RefConv.Models.Imaging;

namespace RefConv.Bench;

/// <summary>
/// <c>refconv bench images DIR</c>: how many pictures a second are decoded, resized and cut to 224×224, with all processors; beside Pillow with one
/// process a processor. Both take turns; a ratio is the median over rounds.
/// </summary>
internal static class ImageBench
{
    /// <summary>A folder with fewer pictures is gone through several times, so that a sample is long enough to be timed.</summary>
    private const int FewestPictures = 64;

    private static readonly string[] Extensions = [".png", ".jpg", ".jpeg"];

    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("images", "How fast a folder of pictures is decoded, resized and cut; with --peers beside Pillow.");
        Argument<string> folder = new("DIR") { Description = "PNG and JPEG files, at any depth." };
        Option<bool> peers = new("--peers") { Description = "Pillow in turn with us, one process a processor." };
        Option<int> rounds = new("--rounds") { Description = "Samples of each.", DefaultValueFactory = _ => 9, HelpName = "N" };
        Option<int> threads = new("--threads") { Description = "Threads, and processes of Pillow; 0 for all processors.", DefaultValueFactory = _ => 0, HelpName = "N" };
        Option<string> python = new("--python") { Description = "The Python that has Pillow.", DefaultValueFactory = _ => File.Exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3", HelpName = "PATH" };
        Option<bool> json = new("--json") { Description = "Print one JSON object for machines." };
        command.Add(folder);
        foreach (var option in (ReadOnlySpan<Option>)[peers, rounds, threads, python, json]) command.Add(option);
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(rounds) < 1) throw new ArgumentException($"--rounds must be at least 1; it is {parsed.GetValue(rounds)}.");
            if (parsed.GetValue(threads) is < 0 or > 1024) throw new ArgumentException($"--threads must be between 0 (all processors) and 1024; it is {parsed.GetValue(threads)}.");
            int count = parsed.GetValue(threads) is > 0 and var given ? given : Environment.ProcessorCount;
            string[] files = Files(parsed.GetValue(folder)!);
            using var scripts = new WorkerScripts();
            using var pillow = parsed.GetValue(peers) ? PillowWorker.Start(parsed.GetValue(python)!, scripts.Pillow, count) : null;
            var result = Measure(files, pillow, count, parsed.GetValue(rounds), cancellation);
            Console.Out.WriteLine(parsed.GetValue(json) ? result.ToJsonString() : Text(result, pillow));
            return 0;
        });
        return command;
    }

    private static string[] Files(string folder)
    {
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"There is no folder '{folder}'. Check the path.");
        string[] found = [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(f => Extensions.Contains(Path.GetExtension(f).ToLowerInvariant())).Order(StringComparer.Ordinal)];
        if (found.Length == 0) throw new FileNotFoundException($"'{folder}' has no PNG or JPEG files.");
        return [.. Enumerable.Repeat(found, (FewestPictures + found.Length - 1) / found.Length).SelectMany(f => f)];
    }

    private static JsonObject Measure(string[] files, PillowWorker? pillow, int threads, int rounds, CancellationToken cancellation)
    {
        var preprocessing = ImagePreprocessing.ForSize(224);
        pillow?.Load(files, preprocessing);
        uint?[] own = Run(files, preprocessing, threads).Checks; // also the warm-up
        uint?[]? theirs = pillow?.Run().Checks;
        List<(double Seconds, double Busy)> ours = [], peers = [];
        for (int round = 0; round < rounds; round++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (round % 2 == 0) Ours();
            if (pillow?.Run() is var (seconds, processor, _)) peers.Add((seconds, processor / seconds));
            if (round % 2 != 0) Ours();
        }
        var result = new JsonObject
        {
            ["pictures"] = files.Length,
            ["unreadable"] = own.Count(c => c == null),
            ["threads"] = threads,
            ["rounds"] = rounds,
            ["picturesPerSecond"] = files.Length / Median(ours.Select(s => s.Seconds)),
            ["processorsBusy"] = Median(ours.Select(s => s.Busy)),
        };
        if (theirs == null) return result;
        result["peer"] = "pillow";
        result["peerPicturesPerSecond"] = files.Length / Median(peers.Select(s => s.Seconds));
        result["peerProcessorsBusy"] = Median(peers.Select(s => s.Busy));
        result["ratio"] = Median(ours.Zip(peers, (o, p) => p.Seconds / o.Seconds));
        result["equal"] = own.Zip(theirs, (a, b) => a == b).Count(same => same);
        return result;

        void Ours()
        {
            var (seconds, processor, _) = Run(files, preprocessing, threads);
            ours.Add((seconds, processor / seconds));
        }
    }

    private static (double Seconds, double ProcessorSeconds, uint?[] Checks) Run(string[] files, ImagePreprocessing preprocessing, int threads)
    {
        uint?[] checks = new uint?[files.Length];
        var before = Process.GetCurrentProcess().TotalProcessorTime;
        long started = Stopwatch.GetTimestamp();
        Parallel.For(0, files.Length, new ParallelOptions { MaxDegreeOfParallelism = threads }, i =>
        {
            try
            {
                checks[i] = IO.Crc32.Of(preprocessing.Crop(ImageFile.Load(files[i])).Pixels);
            }
            catch (IOException)
            {
                checks[i] = null;
            }
        });
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        return (seconds, (Process.GetCurrentProcess().TotalProcessorTime - before).TotalSeconds, checks);
    }

    private static string Text(JsonObject r, PillowWorker? pillow)
    {
        string head = $"{r["pictures"]} pictures decoded, resized and cut to 224×224, median of {r["rounds"]} rounds"
            + ((int)r["unreadable"]! > 0 ? $"; {r["unreadable"]} cannot be read" : "")
            + FormattableString.Invariant($"\nRefConv, {r["threads"]} threads: {(double)r["picturesPerSecond"]!:0.0} pictures/s, {(double)r["processorsBusy"]!:0.00} processors busy");
        return pillow == null
            ? head
            : head + FormattableString.Invariant($"\n{pillow.Description}: {(double)r["peerPicturesPerSecond"]!:0.0} pictures/s, {(double)r["peerProcessorsBusy"]!:0.00} processors busy")
                + FormattableString.Invariant($"\nRefConv is {(double)r["ratio"]!:0.00} times as fast; {r["equal"]} of {r["pictures"]} results are equal to the last bit.");
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[(sorted.Length / 2) - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
