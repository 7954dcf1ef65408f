using System.CommandLine;
using RefConv.Bench;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv bench</c>: how fast it is here, alone or beside its peers. The work is done by the project bench/Peers.</summary>
internal static class BenchCommand
{
    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("bench", "How fast layers, training steps and inference are here, with refocusing overhead, memory and start-up; with --peers beside PyTorch and ONNX Runtime.");
        var options = new BenchOptions(command, peersByDefault: false);
        command.Add(ImageBench.Create(cancellation));
        command.SetAction(parsed => options.Run(parsed, "refconv", cancellation));
        return command;
    }
}
