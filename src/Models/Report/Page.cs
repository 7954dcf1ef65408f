using System.Text;
using RefConv.Models.Report.Charts;

namespace RefConv.Models.Report;

/// <summary>A cell of a table: what is read, and by what it is sorted and saved.</summary>
/// <param name="Text">What is read.</param>
/// <param name="Value">The number behind it; null for text.</param>
internal readonly record struct Cell(string Text, double? Value = null)
{
    /// <summary>Text.</summary>
    public static implicit operator Cell(string text) => new(text);

    /// <summary>A number, in a .NET format; empty where there is none.</summary>
    public static Cell Of(double? value, string format) => value is { } v ? new(Num.Text(v, format), v) : new("");

    /// <summary>A whole number; empty where there is none.</summary>
    public static Cell Of(long? value) => value is { } v ? new(Num.Whole(v), v) : new("");
}

/// <summary>A page: one HTML file with its style, script, pictures and numbers inside, that asks nothing of the network.</summary>
internal sealed class Page(string title)
{
    private readonly StringBuilder _body = new();
    private readonly List<(string Id, string Title)> _sections = [];
    private bool _open;

    /// <summary>A section with a heading; the contents list leads there.</summary>
    public Page Section(string heading)
    {
        Close();
        string id = $"s{_sections.Count + 1}";
        _sections.Add((id, heading));
        _body.Put($"<section id=\"{id}\"><h2>{Num.Escape(heading)}</h2>");
        _open = true;
        return this;
    }

    /// <summary>A heading inside a section.</summary>
    public Page Heading(string text, int level = 3)
    {
        _body.Put($"<h{level}>{Num.Escape(text)}</h{level}>");
        return this;
    }

    /// <summary>A paragraph.</summary>
    public Page Text(string text, string? style = null)
    {
        _body.Put($"<p{(style == null ? "" : $" class=\"{style}\"")}>{Num.Escape(text)}</p>");
        return this;
    }

    /// <summary>A list of sentences; nothing where there are none.</summary>
    public Page List(IReadOnlyCollection<string> lines)
    {
        if (lines.Count > 0) _body.Put($"<ul>{string.Concat(lines.Select(l => $"<li>{Num.Escape(l)}</li>"))}</ul>");
        return this;
    }

    /// <summary>What a reader must know first; nothing where there is nothing.</summary>
    public Page Notes(string heading, IReadOnlyCollection<string> lines)
    {
        if (lines.Count == 0) return this;
        _body.Put($"<div class=\"notes\"><b>{Num.Escape(heading)}</b>");
        List(lines);
        _body.Append("</div>");
        return this;
    }

    /// <summary>HTML as it is: whoever writes it has escaped what came from outside.</summary>
    public Page Html(string html)
    {
        _body.Append(html);
        return this;
    }

    /// <summary>A table that sorts by a click on a title and can be saved. A title that begins with a space has sentences under it.</summary>
    public Page Table(string name, IReadOnlyList<string> titles, IReadOnlyList<IReadOnlyList<Cell>> rows)
    {
        _body.Append("<div class=\"table\"><div class=\"scroll\"><table><thead><tr>");
        foreach (string t in titles) _body.Put($"<th scope=\"col\"{Words(t)}><button type=\"button\">{Num.Escape(t.Trim())}</button></th>");
        _body.Append("</tr></thead><tbody>");
        foreach (var row in rows)
        {
            _body.Append("<tr>");
            for (int i = 0; i < row.Count; i++)
            {
                var (text, value) = row[i];
                string v = value is { } number && double.IsFinite(number) ? $" data-v=\"{number.ToString("R", System.Globalization.CultureInfo.InvariantCulture)}\"" : "";
                _body.Put($"<td{Words(titles[i])}{v}>{Num.Escape(text)}</td>");
            }
            _body.Append("</tr>");
        }
        _body.Put($"</tbody></table></div><button type=\"button\" class=\"csv\" data-name=\"{Num.Escape(FileName(name))}\">CSV</button></div>");
        return this;

        static string Words(string t) => t.StartsWith(' ') ? " class=\"words\"" : "";
    }

    /// <summary>Tables in text only.</summary>
    public Page Table(string name, IReadOnlyList<string> titles, IReadOnlyList<IReadOnlyList<string>> rows) =>
        Table(name, titles, [.. rows.Select(r => (IReadOnlyList<Cell>)[.. r.Select(c => (Cell)c)])]);

    /// <summary>Figures beside each other. Those without a chart are left out.</summary>
    /// <param name="style">maps for small ones, wide for contours, empty for curves.</param>
    /// <param name="figures">Captions, what is said softly behind them, and charts.</param>
    /// <param name="legend">One legend for all, above them.</param>
    public Page Figures(string style, IReadOnlyList<(string Caption, string? Soft, Chart? Chart)> figures, bool legend = false)
    {
        var drawn = figures.Where(f => f.Chart != null).ToArray();
        if (drawn.Length == 0) return Text("There is nothing to draw: no value in it is a finite number.", "soft");
        if (legend && drawn.MaxBy(f => f.Chart!.Legend.Length).Chart!.Legend is { Length: > 0 } keys) _body.Put($"<div class=\"legend\">{keys}</div>");
        _body.Put($"<div class=\"figures {style}\">");
        foreach (var (caption, soft, chart) in drawn)
        {
            _body.Put($"<figure><figcaption><span>{Num.Escape(caption)}{(soft == null ? "" : $" <i class=\"soft\">{Num.Escape(soft)}</i>")}</span>");
            _body.Put($"<button type=\"button\" class=\"csv\" title=\"Save the numbers of this figure\">CSV</button></figcaption>");
            _body.Append(chart!.Svg);
            if (!legend && chart.Legend.Length > 0) _body.Append("<div class=\"legend\">").Append(chart.Legend).Append("</div>");
            _body.Append("<script type=\"application/json\">").Append((chart.Data with { Name = FileName(chart.Data.Name) }).ToJson()).Append("</script></figure>");
        }
        _body.Append("</div>");
        return this;
    }

    /// <summary>The file.</summary>
    public string ToHtml(string heading, string lead)
    {
        Close();
        var html = new StringBuilder("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
        // Nothing is fetched: should a text ever get past the escaping, the browser refuses too. The empty icon keeps it from asking for one.
        html.Append("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline';script-src 'unsafe-inline';img-src data: blob:\"><link rel=\"icon\" href=\"data:,\">");
        html.Put($"<title>{Num.Escape(title)}</title><style>{PageStyle.Text}</style><script>{PageScript.Theme}</script></head><body><main>");
        html.Put($"<h1>{Num.Escape(heading)}</h1><p class=\"lead\">{Num.Escape(lead)}</p><nav>");
        if (_sections.Count > 2)
        {
            foreach (var (id, name) in _sections) html.Put($"<a href=\"#{id}\">{Num.Escape(name)}</a>");
        }
        html.Append("<span class=\"push\"></span><button type=\"button\" id=\"theme\">Light / dark</button><button type=\"button\" id=\"print\">Print</button></nav>");
        return html.Append(_body).Append("</main><script>").Append(PageScript.Text).Append("</script></body></html>\n").ToString();
    }

    private void Close()
    {
        if (_open) _body.Append("</section>");
        _open = false;
    }

    /// <summary>Letters, digits and dashes only.</summary>
    private static string FileName(string text)
    {
        string name = string.Concat(text.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' ? c : '-')).Trim('-', '.');
        while (name.Contains("--", StringComparison.Ordinal)) name = name.Replace("--", "-");
        return name.Length == 0 ? "table" : name[..Math.Min(name.Length, 80)];
    }
}
