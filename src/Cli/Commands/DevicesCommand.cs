using System.CommandLine;
using System.Text.Json.Nodes;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv devices</c>: where one can compute.</summary>
internal static class DevicesCommand
{
    public static Command Create()
    {
        var command = new Command("devices", "What --device can be on this machine.");
        Option<bool> json = Options.Json();
        command.Add(json);
        command.SetAction(parsed =>
        {
            var output = new Output(parsed.GetValue(json));
            foreach (string name in Devices.Names)
            {
                using var device = Devices.Open(name, 0);
                output.Line($"{name,-10} {device.Description,-38} {(name == "cpu" ? "the default (auto)" : "the oracle: slow and precise, for tests and study")}");
                output.Object(new JsonObject { ["name"] = name, ["description"] = device.Description, ["threads"] = device.Threads, ["default"] = name == "cpu" });
            }
            return 0;
        });
        return command;
    }
}
