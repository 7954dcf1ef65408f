using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace RefConv.Models.Report.Reading;

/// <summary>
/// JSON as runs leave it behind: whole, or cut off where the disk was full or the process was killed, or with NaN where JSON has no word for it. What can be read is
/// read, and what was wrong is said.
/// </summary>
internal static class LenientJson
{
    private const long MostBytes = 256L << 20;

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="fault">What was wrong with it, as the end of a sentence that begins with its name; null where nothing was.</param>
    /// <returns>The object in it; null where nothing can be read.</returns>
    public static JsonObject? Read(string path, out string? fault)
    {
        try
        {
            if (new FileInfo(path).Length > MostBytes)
            {
                fault = "is larger than 256 MiB and was not read";
                return null;
            }
            return Parse(File.ReadAllText(path), out fault);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            fault = $"cannot be read ({e.Message.TrimEnd('.')})";
            return null;
        }
    }

    /// <summary>Reads text.</summary>
    public static JsonObject? Parse(string text, out string? fault)
    {
        fault = null;
        try
        {
            if (JsonNode.Parse(text) is JsonObject whole && Touch(whole)) return whole;
            fault = "holds no JSON object";
            return null;
        }
        catch (Exception e) when (e is JsonException or ArgumentException) // the latter: a name twice in one object
        {
            string repaired = Repair(text, out bool cut);
            fault = cut ? "is cut off: what is there up to the cut is used" : "holds values that are no numbers (NaN or infinite): they are left out";
            try
            {
                if (JsonNode.Parse(repaired) is JsonObject rest && Touch(rest)) return rest;
            }
            catch (Exception again) when (again is JsonException or ArgumentException)
            {
                // Damaged in another way than by a cut.
            }
            fault = "is damaged and cannot be read";
            return null;
        }
    }

    /// <summary>A number; NaN where there is none.</summary>
    public static double Number(this JsonNode? node, string name) => Number((node as JsonObject)?[name]);

    /// <summary>A number; NaN where there is none.</summary>
    public static double Number(JsonNode? node) => node is JsonValue value && value.GetValueKind() == JsonValueKind.Number && value.TryGetValue(out double number) && double.IsFinite(number) ? number : double.NaN;

    /// <summary>A whole number; null where there is none.</summary>
    public static long? Whole(this JsonNode? node, string name) => Number(node, name) is var v && Math.Abs(v) < 1e15 && v == Math.Floor(v) ? (long)v : null;

    /// <summary>Text; null where there is none.</summary>
    public static string? Text(this JsonNode? node, string name) => (node as JsonObject)?[name] is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    /// <summary>A list of numbers, NaN for what is none; null where there is no list.</summary>
    public static double[]? Numbers(this JsonNode? node, string name) => (node as JsonObject)?[name] is JsonArray list ? [.. list.Select(Number)] : null;

    /// <summary>The objects of a list; empty where there is none.</summary>
    public static IReadOnlyList<JsonObject> Objects(this JsonNode? node, string name) => (node as JsonObject)?[name] is JsonArray list ? [.. list.OfType<JsonObject>()] : [];

    /// <summary>An object inside; null where there is none.</summary>
    public static JsonObject? Inner(this JsonNode? node, string name) => (node as JsonObject)?[name] as JsonObject;

    /// <summary>Objects are read when they are first asked for; a name that stands twice in one shows only then.</summary>
    private static bool Touch(JsonNode node)
    {
        if (node is JsonObject all)
        {
            foreach (var (_, inner) in all.ToArray())
            {
                if (inner != null) Touch(inner);
            }
        }
        else if (node is JsonArray list)
        {
            foreach (var inner in list)
            {
                if (inner != null) Touch(inner);
            }
        }
        return true;
    }

    /// <summary>Takes words that are no numbers for null, and ends the text behind its last whole value.</summary>
    private static string Repair(string text, out bool cut)
    {
        var result = new StringBuilder(text.Length);
        Stack<char> open = [];
        (int Length, string Closing) good = (0, "");
        bool inString = false;
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (inString)
            {
                result.Append(c);
                if (c == '\\' && i + 1 < text.Length) result.Append(text[++i]);
                else if (c == '"') inString = false;
                continue;
            }
            if (Word(text, i) is { } word)
            {
                result.Append("null");
                i += word.Length - 1;
                continue;
            }
            if (c == ',' && open.Count > 0) good = (result.Length, Closing(open)); // what stands before a comma is whole
            result.Append(c);
            if (c == '"') inString = true;
            else if (c is '{' or '[') open.Push(c == '{' ? '}' : ']');
            else if (c is '}' or ']' && open.Count > 0)
            {
                open.Pop();
                good = (result.Length, Closing(open));
            }
        }
        cut = open.Count > 0 || inString;
        return cut ? result.ToString(0, good.Length) + good.Closing : result.ToString();
    }

    private static string Closing(Stack<char> open) => string.Concat(open);

    private static string? Word(string text, int at) => text[at] is not ('N' or 'I' or '-') ? null :
        new[] { "NaN", "Infinity", "-Infinity", "-NaN" }.FirstOrDefault(w => string.CompareOrdinal(text, at, w, 0, w.Length) == 0);
}
