namespace RefConv.Models.Report;

/// <summary>The style of pages. Colours are variables: the reader's system says light or dark, and a button says otherwise.</summary>
internal static class PageStyle
{
    // Lines: Okabe and Ito's colours, which all kinds of colour vision tell apart, darkened for white and lightened for black ground until they stand out.
    private const string Light = "--bg:#fff;--card:#f7f8fa;--fg:#1b1f24;--soft:#57606a;--line:#d9dee4;--grid:#e6e9ed;--link:#0b57b0;--good:#0f7a4f;--bad:#b3470e;--open:#6a5a00;" +
        "--c0:#0072b2;--c1:#d55e00;--c2:#00805f;--c3:#b8528f;--c4:#a87800;--c5:#2f93c9;--c6:#50565d;--c7:#6f3fb5;color-scheme:light";

    private const string Dark = "--bg:#14171b;--card:#1c2026;--fg:#e6e9ed;--soft:#a3adb8;--line:#353c45;--grid:#2a3038;--link:#7db7ff;--good:#4cc38a;--bad:#ff9c5b;--open:#e3cf5a;" +
        "--c0:#56b0f0;--c1:#ff8a3d;--c2:#35c493;--c3:#ea8cc4;--c4:#e9b73d;--c5:#9bd7ff;--c6:#b5bdc6;--c7:#b79bff;color-scheme:dark";

    /// <summary>All of it.</summary>
    public static string Text { get; } = $":root{{{Light}}}@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{{Dark}}}}}:root[data-theme=dark]{{{Dark}}}" + Rules.Replace("LIGHT", Light) +
        string.Concat(Enumerable.Range(0, Charts.LineChart.Colors).Select(i => $".line.c{i},.dots.c{i}{{stroke:var(--c{i})}}circle.c{i}{{fill:var(--c{i})}}"));

    private const string Rules = """

        *{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
        main{max-width:76rem;margin:0 auto;padding:1.5rem 1.5rem 5rem}h1{font-size:2rem;line-height:1.2;margin:.4em 0 .2em}h2{font-size:1.4rem;margin:2.6em 0 .5em;padding-top:.8em;border-top:1px solid var(--line)}
        h3{font-size:1.08rem;margin:1.9em 0 .4em}h4{font-size:.95rem;margin:1.4em 0 .3em}p,li{max-width:62rem}p{margin:.5em 0}.lead,.soft{color:var(--soft)}.small{font-size:.86rem}a{color:var(--link)}
        nav{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;align-items:baseline;font-size:.92rem;margin:1rem 0}nav .push{flex:1}
        button{font:inherit;color:inherit;background:none;border:1px solid var(--line);border-radius:6px;padding:.12rem .6rem;cursor:pointer}button:hover{border-color:var(--soft)}button:focus-visible,a:focus-visible{outline:2px solid var(--link);outline-offset:2px}
        .notes{background:var(--card);border-left:4px solid var(--open);border-radius:0 6px 6px 0;padding:.5rem 1rem .6rem 1.2rem;margin:1.2rem 0}.notes ul{margin:.3em 0;padding-left:1.1em}
        .scroll{overflow-x:auto;margin:.6rem 0 .2rem}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.88rem}caption{text-align:left;color:var(--soft);padding:.2rem 0}
        th,td{padding:.36rem .65rem;text-align:right;border-bottom:1px solid var(--line)}td{white-space:nowrap}td.words{white-space:normal;min-width:14rem;text-align:left}th{vertical-align:bottom;color:var(--soft);font-weight:600}
        th:first-child,td:first-child{text-align:left;padding-left:0}th.words{text-align:left}th button{border:0;padding:0;font-weight:600;text-align:inherit}th button::after{content:" ↕";opacity:.35}th[aria-sort=ascending] button::after{content:" ↑";opacity:1}th[aria-sort=descending] button::after{content:" ↓";opacity:1}
        tbody tr:hover{background:var(--card)}figure{margin:0;min-width:0}figcaption{display:flex;gap:.5rem;align-items:baseline;font-size:.88rem;font-weight:600;margin:.2rem 0 .3rem}figcaption>span{flex:1;overflow-wrap:anywhere}figcaption .soft{font-weight:400;font-style:normal}
        .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr));gap:1.6rem 2rem;margin:1rem 0}.figures.maps{grid-template-columns:repeat(auto-fill,minmax(15.5rem,1fr))}.figures.wide{grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),30rem))}
        .csv{font-size:.74rem;font-weight:400;padding:0 .4rem;color:var(--soft)}.chart{display:block;width:100%;height:auto;max-width:44rem}.chart.map{max-width:17rem}.chart.contour{max-width:30rem}
        .chart text{fill:var(--soft);font-size:11.5px;font-variant-numeric:tabular-nums}.chart text.name{fill:var(--fg)}.chart .grid{stroke:var(--grid)}.chart .axis{stroke:var(--soft)}.chart .guide{stroke:var(--soft);stroke-dasharray:2 3;visibility:hidden}.frame{fill:none;stroke:var(--soft);stroke-width:.7}
        .line{fill:none;stroke-width:2;stroke-linejoin:round}.dots{fill:none;stroke-width:4.5;stroke-linecap:round}.thin{stroke-width:1;opacity:.45}.dots.thin{stroke-width:3}.line.dashed{stroke-dasharray:6 3}.reference{stroke:var(--soft);stroke-dasharray:3 3;fill:none}.off{visibility:hidden}
        .pixels{image-rendering:pixelated}.iso{fill:none;stroke-width:.9}.way{fill:none;stroke:#fff;stroke-width:1.3}.way.dots{stroke-width:5}.centre{stroke:#ff5b5b;stroke-width:2.2;fill:none}path.onlight{stroke:#14171b;opacity:.75}path.ondark{stroke:#fff;opacity:.75}
        .chart text.onlight{fill:#14171b}.chart text.ondark{fill:#fff}.chart text.iso{font-size:10px;stroke:none;paint-order:stroke}.chart text.iso.onlight{stroke:#e8e06a;stroke-width:2.5}.chart text.iso.ondark{stroke:#2d5f78;stroke-width:2.5}
        .legend{display:flex;flex-wrap:wrap;gap:.25rem .5rem;margin:.6rem 0;font-size:.86rem}.key{padding:.05rem .5rem}.key svg{width:26px;height:10px;margin-right:.4rem;vertical-align:.05em}.key[aria-pressed=false]{opacity:.45;text-decoration:line-through}
        .tip{position:fixed;z-index:9;pointer-events:none;background:var(--bg);color:var(--fg);border:1px solid var(--line);border-radius:6px;box-shadow:0 2px 10px #0004;padding:.3rem .6rem;font-size:.8rem;line-height:1.4;white-space:pre;font-variant-numeric:tabular-nums;display:none}
        .mark{display:inline-block;white-space:nowrap;font-weight:600;font-size:.84rem;border:1px solid currentColor;border-radius:99px;padding:.02rem .65rem}.mark.seen{color:var(--good)}.mark.not{color:var(--bad)}.mark.open{color:var(--open)}.mark.none{color:var(--soft)}
        .claims{display:grid;gap:.7rem;margin:1rem 0;padding:0;list-style:none}.claims li{display:grid;grid-template-columns:10.5rem 1fr;gap:.2rem 1rem;align-items:start}.claims b{font-weight:600}@media(max-width:42rem){.claims li{grid-template-columns:1fr}main{padding:1rem}}
        details>summary{cursor:pointer;color:var(--soft);margin:.6rem 0}code{font:.88em ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
        @media print{:root,:root[data-theme=dark],:root:not([data-theme=light]){LIGHT}main{max-width:none;padding:0}body{font-size:10.5pt}nav,.csv,.tip{display:none!important}h2,h3,figcaption{break-after:avoid}figure,tr,.claims li{break-inside:avoid}h2{margin-top:1.6em}.scroll{overflow:visible}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
        """;
}
