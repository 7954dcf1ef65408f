using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using RefConv.Bench.Peers;
using RefConv.Kernels;
using RefConv.Models;

namespace RefConv.Bench;

/// <summary>Runs what needs processes of its own: peak memory, and the time from a process's start to its first answer.</summary>
internal sealed class ProcessRunner(Device device, PeerSet peers, int starts, CancellationToken cancellation)
{
    private const double ScoreTolerance = 1e-3;

    /// <summary>Peak memory of a training step above the idle process with the model built: ours, and PyTorch's better memory format.</summary>
    public BenchResult Memory(ModelCase row)
    {
        var own = JsonSerializer.Deserialize<ChildProcess.PeakMemory>(FirstLine(ChildProcess.StartInfo(device.Threads, "memory", row.Name), out _))!;
        List<Series> theirs = [];
        if (peers.Torch != null)
        {
            string folder = Directory.CreateTempSubdirectory("refconv-bench-").FullName;
            try
            {
                string state = Path.Combine(folder, "state.safetensors");
                using (var engine = new OwnModel(row, ModelCase.Plain, device)) engine.Save(state);
                foreach (string format in (string[])["nchw", "nhwc"])
                {
                    cancellation.ThrowIfCancellationRequested();
                    // Without the settings that make it fast at the price of memory: its best again.
                    using var fresh = TorchWorker.Start(peers.Settings.Python, peers.Scripts.Torch, device.Threads, keepMemory: false);
                    theirs.Add(Series.Of(format, [fresh.PeakMemory(row, state, format)]));
                }
            }
            finally
            {
                Directory.Delete(folder, recursive: true);
            }
        }
        return new BenchResult(row, Series.Of("refconv", [own.AboveIdle]), peers.Torch?.Name, theirs)
        {
            Notes = [("processMb", own.Peak), ("deviceMb", own.Device)],
        };
    }

    /// <summary>Starts everybody's process in turn.</summary>
    /// <exception cref="DisagreementException">They do not give the same answer.</exception>
    public IReadOnlyList<BenchResult> StartUp(ModelCase row)
    {
        string folder = Directory.CreateTempSubdirectory("refconv-bench-").FullName;
        try
        {
            List<(string? Peer, ProcessStartInfo Start, Series Series)> all = [.. Prepare(row, folder)];
            double[]? expected = null;
            Dictionary<string, double> differences = [];
            foreach (var (peer, start, _) in all) // once without the clock: the files are in the system's cache then
            {
                double[] scores = [.. JsonNode.Parse(FirstLine(start, out _))!["scores"].Deserialize<double[]>()!];
                expected ??= scores;
                differences[peer ?? ""] = Apart(expected, scores) is var apart && apart <= ScoreTolerance
                    ? apart
                    : throw new DisagreementException($"{row.Name}: {peer} gives other scores, {apart:G2} apart.");
            }
            for (int i = 0; i < starts; i++)
            foreach (var (_, start, series) in all)
            {
                cancellation.ThrowIfCancellationRequested();
                FirstLine(start, out double ms);
                series.Samples.Add(ms);
            }
            var rivals = all.Where(a => a.Peer != null && peers.Counts(row, a.Peer)).ToArray();
            if (rivals.Length == 0) return [new BenchResult(row, all[0].Series, null, [])];
            return [.. rivals.Select(r => new BenchResult(row, all[0].Series, r.Peer, [r.Series]) { Difference = differences[r.Peer!] })];
        }
        finally
        {
            foreach (var worker in peers.Workers) worker.Unload();
            Directory.Delete(folder, recursive: true);
        }
    }

    private IEnumerable<(string? Peer, ProcessStartInfo Start, Series Series)> Prepare(ModelCase row, string folder)
    {
        string model = Path.Combine(folder, "model.safetensors"), state = Path.Combine(folder, "state.safetensors"), onnx = Path.Combine(folder, "model.onnx");
        string script = Path.Combine(folder, "model.pt"), images = Path.Combine(folder, "images.nhwc"), planes = Path.Combine(folder, "images.nchw");
        using var engine = new OwnModel(row, ModelCase.Plain, device);
        ModelFile.Save(engine.Model, model);
        engine.SaveImages(images, channelsFirst: false);
        var shape = engine.Model.InputShape(row.Batch);
        yield return (null, ChildProcess.StartInfo(device.Threads, "answer", model, images), new Series("refconv"));
        if (peers.Torch is not { } torch) yield break;
        engine.Save(state);
        engine.SaveImages(planes, channelsFirst: true);
        torch.Load(row, ModelCase.Plain, state);
        torch.Export(onnx, script);
        var settings = peers.Settings;
        yield return (torch.Name, TorchWorker.StartInfo(settings.Python, peers.Scripts.Torch, device.Threads, keepMemory: true, ["answer", script, images, .. Words(shape[0], shape[1], shape[2], shape[3])]), new Series("torchscript"));
        if (peers.Ort == null) yield break;
        yield return (CaseClass.OnnxRuntime, OrtWorker.StartInfo(settings.Node, peers.Scripts.OnnxRuntime, settings.NodeModules, device.Threads, ["answer", onnx, planes, .. Words(shape[0], shape[3], shape[1], shape[2])]), new Series("onnx"));

        static IEnumerable<string> Words(params int[] numbers) => numbers.Select(n => n.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Starts a process and waits for its first line and its end.</summary>
    /// <param name="start">How.</param>
    /// <param name="milliseconds">From the start to the line.</param>
    private static string FirstLine(ProcessStartInfo start, out double milliseconds)
    {
        start.RedirectStandardOutput = true;
        long started = Stopwatch.GetTimestamp();
        using var process = Process.Start(start)!;
        string? line = process.StandardOutput.ReadLine();
        milliseconds = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 && line != null ? line : throw new InvalidOperationException($"{Path.GetFileName(start.FileName)} ended without an answer (exit code {process.ExitCode}); what it wrote above says why.");
    }

    private static double Apart(double[] expected, double[] scores) => expected.Zip(scores, (a, b) => Math.Abs(a - b)).Max() / expected.Max(Math.Abs);
}
