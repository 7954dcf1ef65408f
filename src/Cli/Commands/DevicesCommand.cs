using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Kernels;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv devices</c>: where one can compute, and what is missing where one cannot.</summary>
internal static class DevicesCommand
{
    public static Command Create()
    {
        var command = new Command("devices", "What --device can be on this machine, and why not where it cannot.");
        Option<bool> json = Options.Json();
        command.Add(json);
        command.SetAction(parsed =>
        {
            var output = new Output(parsed.GetValue(json));
            foreach (string name in (ReadOnlySpan<string>)["cpu", "reference"])
            {
                using var device = Devices.Open(name, 0);
                Show(output, new(name, device.Description), name == "reference" ? "the oracle: slow and precise, for tests and study" : "");
            }
            foreach (var device in GpuBackend.Devices) Show(output, device, "");
            return 0;
        });
        return command;
    }

    private static void Show(Output output, GpuDeviceInfo device, string note)
    {
        bool isDefault = device.Name == Devices.Default;
        if (isDefault) note = "the default (auto)";
        output.Line(device.IsAvailable ? $"{device.Name,-10} {device.Description,-38} {note}".TrimEnd() : $"{device.Name,-10} no: {device.Unavailable}");
        output.Object(new JsonObject
        {
            ["name"] = device.Name,
            ["description"] = device.Description,
            ["available"] = device.IsAvailable,
            ["default"] = isDefault,
            ["reason"] = device.Unavailable,
        });
    }
}
