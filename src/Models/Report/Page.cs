using System.Text;

namespace RefConv.Models.Report;

/// <summary>The frame of every report: one HTML file, no network, light and dark, printable.</summary>
internal static class Page
{
    public const string Foot = "</main></body></html>";

    private const string Style = """
        :root{--bg:#fff;--fg:#1c2024;--soft:#60676f;--line:#dfe3e8;--s0:#2563eb;--s1:#d97706;--s2:#059669;--s3:#db2777;--s4:#7c3aed;--s5:#64748b}
        @media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e6e9ec;--soft:#9aa3ad;--line:#2c3238;--s0:#6ea0ff;--s1:#f5a742;--s2:#3ecf9a;--s3:#f472b6;--s4:#b095ff;--s5:#94a3b8}}
        body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}main{max-width:68rem;margin:0 auto;padding:2rem 1.25rem 4rem}
        h1{font-size:1.9rem;margin:.2em 0}h2{font-size:1.2rem;margin:2.2em 0 .6em}.lead{color:var(--soft)}
        .scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}th,td{padding:.4rem .7rem;text-align:right;border-bottom:1px solid var(--line)}td{white-space:nowrap}th{vertical-align:bottom}
        th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}figure{margin:0}.chart{width:100%;max-width:46rem;height:auto}
        .chart text{fill:var(--soft);font-size:12px}.chart .grid{stroke:var(--line)}.chart .axis{stroke:var(--soft)}.chart path{fill:none;stroke-width:2}
        .legend span{margin-right:1.2rem}.legend i{display:inline-block;width:.9em;height:.9em;border-radius:2px;margin-right:.4em;vertical-align:-.1em}
        path.s0{stroke:var(--s0)}path.s1{stroke:var(--s1)}path.s2{stroke:var(--s2)}path.s3{stroke:var(--s3)}path.s4{stroke:var(--s4)}path.s5{stroke:var(--s5)}
        circle.s0{fill:var(--s0)}circle.s1{fill:var(--s1)}circle.s2{fill:var(--s2)}circle.s3{fill:var(--s3)}circle.s4{fill:var(--s4)}circle.s5{fill:var(--s5)}
        i.s0{background:var(--s0)}i.s1{background:var(--s1)}i.s2{background:var(--s2)}i.s3{background:var(--s3)}i.s4{background:var(--s4)}i.s5{background:var(--s5)}
        @media print{main{max-width:none;padding:0}h2{break-after:avoid}figure,table{break-inside:avoid}}
        """;

    public static string Head(string title) =>
        $"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{SvgChart.Escape(title)}</title><style>{Style}</style></head><body><main>";

    public static string Table(IReadOnlyList<string> titles, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        var html = new StringBuilder("<div class=\"scroll\"><table><thead><tr>");
        foreach (string title in titles) html.Append("<th>").Append(SvgChart.Escape(title)).Append("</th>");
        html.Append("</tr></thead><tbody>");
        foreach (var row in rows)
        {
            html.Append("<tr>");
            foreach (string cell in row) html.Append("<td>").Append(SvgChart.Escape(cell)).Append("</td>");
            html.Append("</tr>");
        }
        return html.Append("</tbody></table></div>").ToString();
    }
}
