using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using RefConv.Models.Report;
using Xunit.Abstractions;

namespace RefConv.Tests.Report;

/// <summary>The page in a browser: no errors, nothing fetched, all marks there, buttons that do what they say.</summary>
public sealed class ReportPageTests(ITestOutputHelper output) : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [BrowserFact]
    public void ThePageWorksInABrowser()
    {
        ReportFixtures.Comparison(_folder.File("study"), ("none", [0.66, 0.665, 0.63]), ("retrained", [0.74, 0.745, 0.71]), ("refconv", [0.735, 0.73, 0.68]), ("acb", [0.70, 0.69, 0.71]));
        ReportFixtures.Analyses(_folder.File("study/analysis"));
        string hostile = ReportFixtures.Run(_folder.File("one <b>&\"x'<img src=x onerror=alert(1)>"));
        string html = EvidenceReport.Read([_folder.File("study"), hostile]).ToHtml();
        Assert.DoesNotMatch(@"https?:|url\(|@import|<link[^>]*href=.(?!data:)", html);

        var result = Probe(html, """
            const marks=$('figure').map(f=>({name:dataOf(f).name,marks:$('svg.chart path.line,svg.chart path.dots,svg.chart circle,svg.chart image,svg.chart rect',f).length,rows:dataOf(f).rows.length}));
            const table=$('table').find(t=>$('th',t)[2].textContent.startsWith('top-1')),column=()=>$('tbody tr',table).map(r=>r.cells[2].dataset.v);
            const button=$('th button',table)[2];button.click();const up=column();button.click();const down=column();const aria=$('th',table)[2].getAttribute('aria-sort');
            const names=()=>$('tbody tr',table).map(r=>r.cells[0].textContent);$('th button',table)[0].click();const byName=names();
            const saved=[];URL.createObjectURL=b=>{saved.push(b);return 'data:,'};HTMLAnchorElement.prototype.click=function(){saved.push(this.download)};
            const fig=$('figure').find(f=>dataOf(f).name.startsWith('Top-1-on-the-test-pictures'));fig.querySelector('.csv').click();
            const svg=fig.querySelector('svg'),box=svg.dataset.box.split(',').map(Number),hover=read(svg,box[2],box[1]).text;
            const map=$('figure').find(f=>dataOf(f).name.startsWith('connection-model.3.0')),mapSvg=map.querySelector('svg'),mb=mapSvg.dataset.box.split(',').map(Number);
            const at=(i,j)=>read(mapSvg,mb[0]+(j+.5)/64*(mb[2]-mb[0]),mb[1]+(i+.5)/64*(mb[3]-mb[1])).text;
            const grid=$('svg[data-plot=grid]')[0],gb=grid.dataset.box.split(',').map(Number),corner=read(grid,gb[2],gb[1]).text,centre=read(grid,(gb[0]+gb[2])/2,(gb[1]+gb[3])/2).text;
            const tiles=$('svg[data-plot=tiles]')[0],tb=tiles.dataset.box.split(',').map(Number),tile=read(tiles,tb[0]+(4.5/31)*(tb[2]-tb[0]),tb[1]+(.5/7)*(tb[3]-tb[1])).text;
            const key=$('.key',fig.closest('section'))[0];key.click();const off=$('.off',fig.closest('section')).length;key.click();const on=$('.off',fig.closest('section')).length;
            $('#theme')[0].click();const theme=document.documentElement.dataset.theme;
            return {marks,up,down,aria,byName,csv:csvOfFigure(fig),file:saved[1],blob:saved[0].type,hover,diagonal:at(5,5),off:at(5,6),corner,centre,tile,hidden:off,shown:on,theme,
              tableCsv:csvOfTable(table),elements:document.querySelectorAll('*').length,injected:document.querySelectorAll('main b b, figure b, td b').length,
              outside:performance.getEntriesByType('resource').map(r=>r.name).filter(n=>!n.startsWith('data:'))};
            """, "--blink-settings=preferredColorScheme=1");
        Assert.All(result.GetProperty("marks").EnumerateArray(), f => Assert.True(f.GetProperty("marks").GetInt32() > 0 && f.GetProperty("rows").GetInt32() > 0, f.ToString()));
        Assert.Equal(51, result.GetProperty("marks").GetArrayLength());
        double[] up = Doubles(result, "up"), down = Doubles(result, "down");
        Assert.Equal([65.1667, 70, 71.5, 73.1667], up.Select(v => Math.Round(v, 4)));
        Assert.Equal(up.Reverse(), down);
        Assert.Equal("descending", Text("aria"));
        Assert.Equal(["acb", "none", "refconv", "retrained"], result.GetProperty("byName").EnumerateArray().Select(e => e.GetString()));
        CheckCsv(Text("csv"));
        Assert.Equal("Top-1-on-the-test-pictures-mobilenet_v1-0.25-small-images.csv", Text("file"));
        Assert.Equal("text/csv", Text("blob"));
        Assert.Matches("^epoch 8\n.*retrained", Text("hover"));
        Assert.Equal("basis channel 5\nkernel channel 5\n2", Text("diagonal"));
        Assert.Equal($"basis channel 6\nkernel channel 5\n{Significant(0.5 + (0.4 * Math.Sin((5 * 12.9898) + (6 * 78.233) + 1)))}", Text("off"));
        Assert.Equal($"first direction 1\nsecond direction 1\n{Significant(0.4 + (5 * (3 + (0.3 * Math.Sin(5)))))}", Text("corner"));
        Assert.Equal("first direction 0\nsecond direction 0\n0.4", Text("centre"));
        Assert.Equal($"kernel 1, row 0, column 0\n{Significant(0.4 * Math.Sin(12.9898 + 3))}", Text("tile"));
        Assert.True(result.GetProperty("hidden").GetInt32() >= 5 * 4, "a click on a name hides its mean and its seeds in all charts");
        Assert.Equal(0, result.GetProperty("shown").GetInt32());
        Assert.Equal("dark", Text("theme"));
        Assert.Contains("retrained,3,73.16666666666667", Text("tableCsv"));
        Assert.Equal(0, result.GetProperty("injected").GetInt32());
        Assert.Equal(0, result.GetProperty("outside").GetArrayLength());

        string Text(string name) => result.GetProperty(name).GetString()!;
        static double[] Doubles(JsonElement o, string name) => [.. o.GetProperty(name).EnumerateArray().Select(e => double.Parse(e.GetString()!, CultureInfo.InvariantCulture))];
        static string Significant(double v) => double.Parse(v.ToString("G4", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>Every number of the curves, as the log has it.</summary>
    private static void CheckCsv(string csv)
    {
        string[][] lines = [.. csv.TrimEnd().Split("\r\n").Select(l => Regex.Matches(l, "(?<=^|,)(?:\"((?:[^\"]|\"\")*)\"|([^,]*))").Select(m => m.Groups[1].Success ? m.Groups[1].Value.Replace("\"\"", "\"") : m.Groups[2].Value).ToArray())];
        Assert.Equal(9, lines.Length);
        int column = Array.IndexOf(lines[0], "refconv, seed 3");
        Assert.True(column > 0, csv);
        var history = ReportFixtures.History(8, 0.68);
        for (int e = 0; e < 8; e++)
        {
            Assert.Equal((e + 1).ToString(CultureInfo.InvariantCulture), lines[e + 1][0]);
            Assert.Equal(100 * history[e]!["accuracy"]!.GetValue<double>(), double.Parse(lines[e + 1][column], CultureInfo.InvariantCulture));
        }
        int mean = Array.IndexOf(lines[0], "refconv");
        Assert.Equal((73.5 + 73 + 68) / 3, double.Parse(lines[8][mean], CultureInfo.InvariantCulture), 9);
    }

    [BrowserFact]
    public void TwentyRunsOpenWithinASecond()
    {
        string[] runs = [.. Enumerable.Range(1, 20).Select(i => ReportFixtures.Run(_folder.File($"run-{i}"), 0.5 + (0.01 * i), epochs: 105, seed: i))];
        string html = EvidenceReport.Read(runs).ToHtml();
        Assert.True(html.Length < 600_000, $"{html.Length} characters");
        double best = double.MaxValue;
        for (int attempt = 0; attempt < 3 && best > 1000; attempt++) // other tests run beside this one
        {
            var result = Probe(html, "return {elements:document.querySelectorAll('*').length,ms:performance.now()-performance.getEntriesByType('navigation')[0].responseStart}");
            Assert.True(result.GetProperty("elements").GetInt32() < 2500, result.ToString());
            best = Math.Min(best, result.GetProperty("ms").GetDouble());
        }
        output.WriteLine($"{html.Length} characters, {best:0} ms");
        Assert.True(best < 1000, $"{best} ms");
    }

    [BrowserFact]
    public void PicturesInLightAndDark()
    {
        ReportFixtures.Comparison(_folder.File("study"), ("none", [0.66, 0.665, 0.63]), ("retrained", [0.74, 0.745, 0.71]), ("refconv", [0.735, 0.73, 0.68]));
        ReportFixtures.Analyses(_folder.File("study/analysis"));
        string page = _folder.File("page.html");
        EvidenceReport.Read([_folder.File("study")]).Save(page);
        string target = Environment.GetEnvironmentVariable("REFCONV_SCREENSHOTS") is { Length: > 0 } kept ? Directory.CreateDirectory(kept).FullName : _folder.Path;
        long[] brightness = new long[2];
        foreach (bool dark in new[] { false, true })
        {
            string file = Path.Combine(target, dark ? "report-dark.png" : "report-light.png");
            Assert.Equal("", Browser.Picture(page, file, 1280, target == _folder.Path ? 1600 : 9000, dark));
            var image = RefConv.Models.Imaging.ImageFile.Load(file);
            brightness[dark ? 1 : 0] = image.Pixels.Sum(p => (long)p) / image.Pixels.Length;
        }
        Assert.True(brightness[0] > 200 && brightness[1] < 70, $"{brightness[0]} light, {brightness[1]} dark");
    }

    /// <summary>Opens the page with a script behind its own, whose result is read from the document; the console must have said nothing.</summary>
    private JsonElement Probe(string html, string script, params string[] more)
    {
        string page = _folder.File("probe.html");
        string probe = $"<script>document.body.dataset.result=(()=>{{try{{return JSON.stringify((()=>{{{script}}})())}}catch(e){{return JSON.stringify({{error:String(e.stack)}})}}}})()</script></body>";
        File.WriteAllText(page, html.Replace("</body>", probe));
        var (document, console) = Browser.Open(page, more);
        Assert.Equal("", console);
        var match = Regex.Match(document, "<body data-result=\"([^\"]*)\"");
        Assert.True(match.Success, document.Length > 2000 ? document[..2000] : document);
        var result = JsonDocument.Parse(System.Net.WebUtility.HtmlDecode(match.Groups[1].Value)).RootElement;
        Assert.False(result.TryGetProperty("error", out var error), error.ToString());
        return result;
    }
}
