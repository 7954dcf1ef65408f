using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Models.Report;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv report</c>: one page about runs and analyses.</summary>
internal static class ReportCommand
{
    public static Command Create()
    {
        var command = new Command("report", "Make one self-contained HTML page of runs (train, demo, compare, ablate) and analyses (analyze): claims with their numbers, curves, tables, maps.");
        Argument<string[]> runs = new("RUN") { Description = "Folders of runs, or files of analyses; folders are searched.", Arity = ArgumentArity.OneOrMore };
        Option<string> file = new("--out") { Description = "The page.", DefaultValueFactory = _ => "report.html", HelpName = "FILE" };
        Option<bool> json = Options.Json();
        command.Add(runs);
        command.Add(file);
        command.Add(json);

        command.SetAction(parsed =>
        {
            var output = new Output(parsed.GetValue(json));
            string path = parsed.GetValue(file)!;
            var report = EvidenceReport.Read(parsed.GetValue(runs)!);
            report.Save(path);
            output.Line($"{report.Runs} runs and {report.Analyses} analyses.");
            foreach (string note in report.Notes) output.Line("! " + note);
            output.Line();
            foreach (var (claim, verdict, sentence) in report.Claims) output.Line($"• {claim}: {verdict}. {sentence}");
            output.Line();
            output.Line($"Report: {Path.GetFullPath(path)}");
            foreach (var (claim, verdict, sentence) in report.Claims) output.Object(new JsonObject { ["claim"] = claim, ["verdict"] = verdict, ["sentence"] = sentence });
            output.Object(new JsonObject { ["runs"] = report.Runs, ["analyses"] = report.Analyses, ["notes"] = new JsonArray([.. report.Notes.Select(n => (JsonNode)n)]), ["report"] = path });
            return 0;
        });
        return command;
    }
}
