using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using RefConv.Models.Imaging;

namespace RefConv.Bench.Peers;

/// <summary>Pillow, one Python process a processor. See <c>pillow_worker.py</c>.</summary>
internal sealed class PillowWorker : PeerWorker
{
    private PillowWorker(ProcessStartInfo start) : base(start)
    {
    }

    public override string Name => "pillow";

    public override string Description => $"Pillow {Hello["pillow"]} (libjpeg-turbo {Hello["jpeg"]}, {Hello["processes"]} processes)";

    /// <summary>Starts the processes.</summary>
    /// <exception cref="PeerMissingException">There is no Python, or it has no Pillow: the message says how to get it.</exception>
    public static PillowWorker Start(string python, string script, int processes) => new(new ProcessStartInfo(python, ["-u", script, processes.ToString(CultureInfo.InvariantCulture)]));

    public void Load(IEnumerable<string> files, ImagePreprocessing preprocessing) => Ask(new JsonObject
    {
        ["do"] = "load",
        ["files"] = new JsonArray([.. files.Select(f => (JsonNode)Path.GetFullPath(f))]),
        ["resize"] = preprocessing.ResizeTo,
        ["size"] = preprocessing.Size,
    });

    /// <summary>Prepares all pictures once.</summary>
    /// <returns>Seconds by the clock and of all processors, and a check sum of each result; null where a picture cannot be read.</returns>
    public (double Seconds, double ProcessorSeconds, uint?[] Checks) Run()
    {
        var answer = Ask(new JsonObject { ["do"] = "run" });
        return (answer["seconds"]!.GetValue<double>(), answer["cpu"]!.GetValue<double>(), [.. answer["checks"]!.AsArray().Select(c => c?.GetValue<uint>())]);
    }

    protected override PeerMissingException Missing(string why) => new($"Pillow cannot take part: {why}. Install it: apt-get install -y python3-pil (another Python: --python PATH).");
}
