using System.ComponentModel;
using System.Diagnostics;
using Google.Protobuf;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;
using RefConv.Models.Train.TensorBoard;

namespace RefConv.Tests.Report;

/// <summary>Event files, read back by another reader than the code that wrote them: Google's protocol buffers, and a check sum bit by bit.</summary>
public sealed class TensorBoardTests : DeviceTest
{
    private readonly TemporaryFolder _folder = new();

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Fact]
    public void CheckSumsAreThoseOfTheStandard()
    {
        // CRC-32C of "123456789" is E3069283 (RFC 3720); a record's check sum is that turned right by 15 plus A282EAD8.
        Assert.Equal(0xE3069283, Crc32C("123456789"u8));
        byte[] record = EventFile.Record("123456789"u8);
        Assert.Equal(8 + 4 + 9 + 4, record.Length);
        Assert.Equal(((0xE3069283u >> 15) | (0xE3069283u << 17)) + 0xA282EAD8, BitConverter.ToUInt32(record, 21));
    }

    [Fact]
    public void WhatIsWrittenIsReadBack()
    {
        var time = new DateTimeOffset(2026, 1, 2, 3, 4, 5, 250, TimeSpan.Zero);
        string path;
        using (var file = new EventFile(_folder.Path, 301, time))
        {
            path = file.Path;
            file.Add(301, [("loss", 0.25), ("train/α & <β>", -1e-20), ("gone", double.NaN)], time);
            file.Add(1L << 40, [("loss", 1e30)], time);
            file.Add(5, [("nothing", double.PositiveInfinity)], time);
        }
        Assert.Matches(@"^events\.out\.tfevents\.1767323045\.[A-Za-z0-9._-]+$", Path.GetFileName(path));
        var events = Read(path);
        Assert.Equal(4, events.Count);
        Assert.All(events, e => Assert.Equal(1767323045.25, e.Time));
        Assert.Equal("brain.Event:2", events[0].Version);
        Assert.Equal((301, 1), (events[1].Step, events[1].Session)); // SessionLog.START: what came before is dropped from this step on
        Assert.Equal([("loss", 0.25f), ("train/α & <β>", -1e-20f)], events[2].Scalars);
        Assert.Equal((1L << 40, "loss", 1e30f), (events[3].Step, events[3].Scalars[0].Tag, events[3].Scalars[0].Value));
    }

    [Fact]
    public void ASecondFileInTheSameSecondHasALargerNumber()
    {
        var time = DateTimeOffset.FromUnixTimeSeconds(1000);
        using var first = new EventFile(_folder.Path, 1, time);
        using var second = new EventFile(_folder.Path, 1, time);
        Assert.Contains(".tfevents.1000.", first.Path);
        Assert.Contains(".tfevents.1001.", second.Path);
    }

    [Fact]
    public void ARunThatIsStoppedAndGoesOnHasEveryStepOnce()
    {
        var data = DataSource.Open("shapes", 40, 10);
        var run = new RunFolder(_folder.File("run"));
        run.Create();
        string events = _folder.File("events");
        using var stop = new CancellationTokenSource();
        IReadOnlyList<EpochResult> history;
        using (var model = Zoo.Create(new ModelSpec("mobilenet_v1") { Classes = 10, Width = 0.0625, SmallImages = true, ImageSize = 32 }, new RefConv.Layers.Initializer(Cpu, 1)))
        {
            var state = new RunState { Data = "shapes", Limit = 40, TestLimit = 10, Recipe = new Recipe { Epochs = 2, BatchSize = 10 } };
            using var trainer = new Trainer(model, data, state, run);
            using var board = new TensorBoardObserver(events, state, trainer.StepsPerEpoch, new StopAt(6, stop));
            trainer.Observer = board;
            Assert.False(trainer.Run(cancellation: stop.Token)); // in the middle of the second epoch
        }
        using (var trainer = Trainer.Resume(run, Cpu))
        {
            using var model = trainer.Model;
            using var board = new TensorBoardObserver(events, trainer.State, trainer.StepsPerEpoch);
            trainer.Observer = board;
            Assert.True(trainer.Run());
            history = trainer.State.History;
        }
        string[] files = [.. Directory.GetFiles(events, "events.out.tfevents.*").Order()];
        Assert.Equal(2, files.Length);
        var epochs = files.SelectMany(Read).Where(e => e.Scalars.Count > 0).ToArray();
        Assert.Equal([1L, 2L], epochs.Select(e => e.Step));
        for (int e = 0; e < 2; e++)
        {
            var expected = new[] { ("train/loss", history[e].TrainLoss), ("train/accuracy", history[e].TrainAccuracy), ("test/loss", history[e].TestLoss), ("test/accuracy", history[e].Accuracy), ("test/top5", history[e].Top5), ("learning_rate", history[e].LearningRate) };
            Assert.Equal(expected.Select(x => (x.Item1, (float)x.Item2)), epochs[e].Scalars.Take(6));
        }
        string[] stepFiles = [.. Directory.GetFiles(Path.Combine(events, "steps")).Order()];
        var steps = stepFiles.SelectMany(Read).Where(e => e.Scalars.Count > 0).ToArray();
        Assert.Equal(Enumerable.Range(1, 8).Select(i => (long)i), steps.Select(e => e.Step));
        Assert.Equal(7, Read(stepFiles[1])[1].Step); // the second file counts from its first step
        Assert.Equal(history[0].TrainLoss, steps.Take(4).Average(e => (double)e.Scalars[0].Value), 5);
        Assert.Equal(history[1].TrainAccuracy, steps.Skip(4).Average(e => (double)e.Scalars[1].Value), 5);
    }

    [Fact]
    public void AFolderThatCannotBeIsRefused() =>
        Assert.Contains("is a file", Assert.Throws<IOException>(() => new EventFile(_folder.Write("taken", "x"u8), 1)).Message);

    [TensorBoardFact]
    public void TensorBoardsOwnReaderReadsIt()
    {
        using (var file = new EventFile(_folder.Path, 1))
        {
            file.Add(1, [("loss", 0.5)]);
            file.Add(2, [("loss", 0.25)]);
        }
        const string Script = "import sys; from tensorboard.backend.event_processing.event_accumulator import EventAccumulator as A; a = A(sys.argv[1]); a.Reload(); print([(e.step, e.value) for e in a.Scalars('loss')])";
        using var process = Process.Start(new ProcessStartInfo("/usr/bin/python3", ["-c", Script, _folder.Path]) { RedirectStandardOutput = true })!;
        Assert.Equal("[(1, 0.5), (2, 0.25)]", process.StandardOutput.ReadToEnd().Trim());
    }

    private sealed record Event(double Time, long Step, string? Version, int Session, IReadOnlyList<(string Tag, float Value)> Scalars);

    private static List<Event> Read(string path)
    {
        ReadOnlySpan<byte> bytes = File.ReadAllBytes(path);
        List<Event> events = [];
        while (bytes.Length > 0)
        {
            int length = (int)BitConverter.ToInt64(bytes[..8]);
            Assert.Equal(Masked(bytes[..8]), BitConverter.ToUInt32(bytes[8..12]));
            Assert.Equal(Masked(bytes.Slice(12, length)), BitConverter.ToUInt32(bytes.Slice(12 + length, 4)));
            events.Add(Parse(bytes.Slice(12, length).ToArray()));
            bytes = bytes[(16 + length)..];
        }
        return events;
    }

    private static Event Parse(byte[] message)
    {
        var (time, step, version, session) = (0.0, 0L, (string?)null, 0);
        List<(string, float)> scalars = [];
        var input = new CodedInputStream(message);
        while (input.ReadTag() is var tag and not 0)
        {
            switch (WireFormat.GetTagFieldNumber(tag), WireFormat.GetTagWireType(tag))
            {
                case (1, WireFormat.WireType.Fixed64): time = input.ReadDouble(); break;
                case (2, WireFormat.WireType.Varint): step = input.ReadInt64(); break;
                case (3, WireFormat.WireType.LengthDelimited): version = input.ReadString(); break;
                case (5, WireFormat.WireType.LengthDelimited):
                    var summary = input.ReadBytes().CreateCodedInput();
                    while (summary.ReadTag() is var field and not 0)
                    {
                        Assert.Equal(WireFormat.MakeTag(1, WireFormat.WireType.LengthDelimited), field);
                        scalars.Add(Scalar(summary.ReadBytes().CreateCodedInput()));
                    }
                    break;
                case (7, WireFormat.WireType.LengthDelimited):
                    var log = input.ReadBytes().CreateCodedInput();
                    Assert.Equal(WireFormat.MakeTag(1, WireFormat.WireType.Varint), log.ReadTag());
                    session = log.ReadEnum();
                    break;
                default: Assert.Fail($"an unknown field {tag}"); break;
            }
        }
        return new Event(time, step, version, session, scalars);
    }

    private static (string, float) Scalar(CodedInputStream input)
    {
        Assert.Equal(WireFormat.MakeTag(1, WireFormat.WireType.LengthDelimited), input.ReadTag());
        string tag = input.ReadString();
        Assert.Equal(WireFormat.MakeTag(2, WireFormat.WireType.Fixed32), input.ReadTag());
        float value = input.ReadFloat();
        Assert.True(input.IsAtEnd);
        return (tag, value);
    }

    private static uint Masked(ReadOnlySpan<byte> bytes)
    {
        uint crc = Crc32C(bytes);
        return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
    }

    private static uint Crc32C(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int i = 0; i < 8; i++) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78 : crc >> 1;
        }
        return ~crc;
    }

    private sealed class StopAt(int step, CancellationTokenSource stop) : ITrainingObserver
    {
        private int _steps;

        public void OnStep(in TrainingProgress progress)
        {
            if (++_steps == step) stop.Cancel();
        }

        public void OnEpoch(EpochResult result)
        {
        }
    }
}

/// <summary>A test that needs TensorBoard; skipped, with the reason, where it is not.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class TensorBoardFactAttribute : FactAttribute
{
    private static readonly Lazy<bool> s_there = new(() =>
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo("/usr/bin/python3", ["-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('tensorboard') is None)"]))!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (Win32Exception)
        {
            return false; // no such program
        }
    });

    public TensorBoardFactAttribute()
    {
        if (!s_there.Value) Skip = "needs TensorBoard's Python package for /usr/bin/python3: `pip install tensorboard`; the files are read by another parser in the other tests";
    }
}
