using System.Diagnostics;
using System.Globalization;
using System.Text;
using RefConv.Tests.Models;

namespace RefConv.Tests.Cli;

/// <summary>Ctrl-C, and kill for what runs in the background, on the tool as people run it: a process of its own and a real signal.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class InterruptTests
{
    [CtrlCFact]
    public void CtrlCSavesTheRunAndSaysHowToGoOn() => ASignalSavesTheRunAndSaysHowToGoOn("INT");

    [UnixFact]
    public void KillSavesTheRunAndSaysHowToGoOn() => ASignalSavesTheRunAndSaysHowToGoOn("TERM");

    private static void ASignalSavesTheRunAndSaysHowToGoOn(string signal)
    {
        using var folder = new TemporaryFolder();
        string interrupted = folder.File("interrupted"), whole = folder.File("whole");
        // Far more epochs than are waited for: the signal cannot come too late. Both runs end at the same epoch, by --stop-after.
        string[] options = ["train", .. CommandLine.Tiny, "--width", "0.0625", "--epochs", "100000"];

        using var process = Start([.. options, "--out", interrupted]);
        var errors = process.StandardError.ReadToEndAsync();
        string? line;
        do line = process.StandardOutput.ReadLine();
        while (line != null && !line.Contains(" epoch "));
        Assert.NotNull(line);
        Signal(process, signal);
        // A signal that is not heard must not keep the tests for ever.
        using var patience = new Timer(_ => process.Kill(), null, 60_000, Timeout.Infinite);
        string rest = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(60_000), "it did not end");
        Assert.Equal(130, process.ExitCode);
        Assert.Contains($"Go on with: refconv train --resume {interrupted}", rest);
        Assert.Contains("Stopping after this step and saving", errors.Result);

        int epochs = TrainingBench.History(interrupted).Length;
        string stop = (epochs + 1).ToString(CultureInfo.InvariantCulture);
        CommandLine.Good("train", "--resume", interrupted, "--stop-after", stop);
        CommandLine.Good([.. options, "--out", whole, "--stop-after", stop]);
        Assert.Equal(epochs + 1, TrainingBench.History(interrupted).Length);
        TrainingBench.AssertSameRun(whole, interrupted);
    }

    private static Process Start(string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8 };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "refconv.dll"));
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }

    private static void Signal(Process process, string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
        Assert.Equal(0, kill.ExitCode);
    }
}

/// <summary>A test that sends SIGINT; skipped where this process ignores it (started by nohup or in a script's background), because what it starts then does so too.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class CtrlCFactAttribute : FactAttribute
{
    private const string Status = "/proc/self/status";

    public CtrlCFactAttribute()
    {
        Skip = new UnixFactAttribute().Skip;
        if (Skip != null || !File.Exists(Status)) return;
        string ignored = File.ReadLines(Status).First(l => l.StartsWith("SigIgn:", StringComparison.Ordinal))[7..].Trim();
        const ulong Interrupt = 1 << (2 - 1);
        if ((Convert.ToUInt64(ignored, 16) & Interrupt) != 0) Skip = "this process was started with SIGINT ignored";
    }
}
