using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using RefConv.Models.Imaging;

namespace RefConv.Models;

/// <summary>What a model file says of its model, as JSON.</summary>
/// <remarks>
/// Read and written by hand, although a serializer could: the serializer builds its tables of types when it is first used, which took more time than all else
/// between the start of a process and a loaded MobileNet.
/// </remarks>
/// <param name="Version">Of the description.</param>
/// <param name="Spec">The architecture and its options.</param>
/// <param name="Forms">The training forms it is in.</param>
/// <param name="Data">What it was trained on.</param>
internal sealed record ModelHeader(int Version, ModelSpec Spec, IReadOnlyList<ModelHeader.Form> Forms, DataInfo? Data)
{
    /// <summary>A training form.</summary>
    /// <param name="Method">Name of the method.</param>
    /// <param name="Options">What only the method understands.</param>
    /// <param name="Layers">The convolutions it acts on.</param>
    internal sealed record Form(string Method, JsonObject Options, IReadOnlyList<string> Layers);

    /// <summary>Reads it; null when it names no architecture.</summary>
    /// <exception cref="JsonException">Not JSON.</exception>
    /// <exception cref="InvalidOperationException">Something else stands where a value is expected, or a part is missing.</exception>
    /// <exception cref="FormatException">A number is none of its kind.</exception>
    public static ModelHeader? Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        var root = document.RootElement;
        if (root.ValueKind == JsonValueKind.Null || Find(root, "spec") is not { } spec || Find(spec, "architecture") is not { } architecture) return null;
        var plain = new ModelSpec(architecture.GetString()!);
        plain = plain with
        {
            Classes = Find(spec, "classes")?.GetInt32() ?? plain.Classes,
            Width = Find(spec, "width")?.GetDouble() ?? plain.Width,
            SmallImages = Find(spec, "smallImages")?.GetBoolean() ?? plain.SmallImages,
            InChannels = Find(spec, "inChannels")?.GetInt32() ?? plain.InChannels,
            ImageSize = Find(spec, "imageSize")?.GetInt32() ?? plain.ImageSize,
        };
        // Files of version 1 have at most one form, under a name of its own.
        List<Form> forms = [];
        if (Find(root, "forms") is { } several) forms.AddRange(several.EnumerateArray().Select(ReadForm));
        else if (Find(root, "form") is { } one) forms.Add(ReadForm(one));
        return new ModelHeader(Find(root, "version")?.GetInt32() ?? 0, plain, forms, Find(root, "data") is { } data ? ReadData(data) : null);
    }

    public string ToJson()
    {
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory))
        {
            json.WriteStartObject();
            json.WriteNumber("version", Version);
            json.WriteStartObject("spec");
            json.WriteString("architecture", Spec.Architecture);
            json.WriteNumber("classes", Spec.Classes);
            json.WriteNumber("width", Spec.Width);
            json.WriteBoolean("smallImages", Spec.SmallImages);
            json.WriteNumber("inChannels", Spec.InChannels);
            json.WriteNumber("imageSize", Spec.ImageSize);
            json.WriteEndObject();
            WriteForms(json);
            WriteData(json);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(memory.GetBuffer(), 0, (int)memory.Length);
    }

    private static Form ReadForm(JsonElement form)
    {
        if (Find(form, "method") is not { } method || Find(form, "options") is not { } options || Find(form, "layers") is not { } layers)
            throw new InvalidOperationException("its training form lacks a part");
        return new Form(method.GetString()!, JsonObject.Create(options.Clone())!, Strings(layers));
    }

    private static DataInfo ReadData(JsonElement data)
    {
        if (Find(data, "name") is not { } name || Find(data, "mean") is not { } mean || Find(data, "std") is not { } std || Find(data, "classNames") is not { } classes)
            throw new InvalidOperationException("a part is missing of what it was trained on");
        return new DataInfo(name.GetString()!, [.. mean.EnumerateArray().Select(v => v.GetSingle())], [.. std.EnumerateArray().Select(v => v.GetSingle())], Strings(classes))
        {
            Interpolation = Find(data, "interpolation") is { } filter ? Filter(filter.GetString()!) : null,
            ResizeTo = Find(data, "resizeTo")?.GetInt32(),
        };
    }

    private static Interpolation Filter(string name) =>
        Enum.TryParse<Interpolation>(name, out var filter) && Enum.IsDefined(filter) ? filter : throw new InvalidOperationException($"there is no filter '{name}'");

    private static string[] Strings(JsonElement values) =>
        [.. values.EnumerateArray().Select(v => v.GetString() ?? throw new InvalidOperationException("a name is null"))];

    /// <summary>A property that is there and not null.</summary>
    private static JsonElement? Find(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private void WriteForms(Utf8JsonWriter json)
    {
        if (Forms.Count == 0) return;
        json.WriteStartArray("forms");
        foreach (var form in Forms)
        {
            json.WriteStartObject();
            json.WriteString("method", form.Method);
            json.WritePropertyName("options");
            form.Options.WriteTo(json);
            WriteStrings(json, "layers", form.Layers);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private void WriteData(Utf8JsonWriter json)
    {
        if (Data == null) return;
        json.WriteStartObject("data");
        json.WriteString("name", Data.Name);
        foreach (var (name, values) in ((string, IReadOnlyList<float>)[])[("mean", Data.Mean), ("std", Data.Std)])
        {
            json.WriteStartArray(name);
            foreach (float value in values) json.WriteNumberValue(value);
            json.WriteEndArray();
        }
        WriteStrings(json, "classNames", Data.ClassNames);
        if (Data.Interpolation is { } filter) json.WriteString("interpolation", filter.ToString());
        if (Data.ResizeTo is { } side) json.WriteNumber("resizeTo", side);
        json.WriteEndObject();
    }

    private static void WriteStrings(Utf8JsonWriter json, string name, IEnumerable<string> values)
    {
        json.WriteStartArray(name);
        foreach (string value in values) json.WriteStringValue(value);
        json.WriteEndArray();
    }
}
