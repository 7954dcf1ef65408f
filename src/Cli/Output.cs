using System.Globalization;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace RefConv.Cli;

/// <summary>What a command prints: text and tables for people, or one JSON object a line for machines.</summary>
internal sealed class Output(bool json)
{
    /// <summary>Machines read it.</summary>
    public bool IsJson { get; } = json;

    /// <summary>A live display makes sense: a person looks at a terminal.</summary>
    public bool IsLive { get; } = !json && !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi;

    /// <summary>A line for people.</summary>
    public void Line(string text = "")
    {
        if (!IsJson) Console.Out.WriteLine(text);
    }

    /// <summary>A heading for people.</summary>
    public void Heading(string text)
    {
        if (IsJson) return;
        if (IsLive) AnsiConsole.MarkupLine($"[bold]{Markup.Escape(text)}[/]");
        else Console.Out.WriteLine(text);
    }

    /// <summary>An object for machines.</summary>
    public void Object(JsonObject value)
    {
        if (IsJson) Console.Out.WriteLine(value.ToJsonString());
    }

    /// <summary>A table for people.</summary>
    public void Table(IReadOnlyList<string> titles, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        if (IsJson) return;
        if (!IsLive)
        {
            // Into a file or pipe: plain aligned text, however wide.
            int[] widths = [.. titles.Select((t, i) => rows.Select(r => r[i].Length).Append(t.Length).Max())];
            foreach (var row in rows.Prepend(titles))
                Console.Out.WriteLine(string.Join("  ", row.Select((c, i) => i == 0 ? c.PadRight(widths[i]) : c.PadLeft(widths[i]))).TrimEnd());
            return;
        }
        var table = new Table().Border(TableBorder.Simple);
        for (int i = 0; i < titles.Count; i++)
        {
            var column = new TableColumn(Markup.Escape(titles[i])).NoWrap();
            table.AddColumn(i == 0 ? column : column.RightAligned());
        }
        foreach (var row in rows) table.AddRow([.. row.Select(c => new Text(c))]);
        AnsiConsole.Write(table);
    }

    /// <summary>A number in the invariant culture.</summary>
    public static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    /// <summary>Time for people: 42 s, 3 min 05 s.</summary>
    public static string Duration(double seconds)
    {
        if (!double.IsFinite(seconds)) return "?";
        var time = TimeSpan.FromSeconds(Math.Max(0, Math.Round(seconds)));
        return time.TotalHours >= 1 ? $"{(int)time.TotalHours} h {time.Minutes:00} min" : time.TotalMinutes >= 1 ? $"{time.Minutes} min {time.Seconds:00} s" : $"{time.Seconds} s";
    }
}
