using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models.Data;
using RefConv.Optim;

namespace RefConv.Models.Train;

/// <summary>What one step gave.</summary>
/// <param name="Loss">The loss before the step; when it is no finite number, nothing was changed.</param>
/// <param name="Correct">Pictures classified right before it; of mixed pictures the label with the larger share counts.</param>
internal readonly record struct StepResult(double Loss, int Correct);

/// <summary>One step of training: forward, loss, backward, clipping, and the optimiser's step.</summary>
internal static class TrainingStep
{
    /// <param name="model">In training mode.</param>
    /// <param name="optimizer">Of its parameters.</param>
    /// <param name="recipe">Smoothing, clipping, memory.</param>
    /// <param name="batch">Pictures.</param>
    /// <param name="step">Number of the step in the run, from 0: dropout depends on it.</param>
    /// <param name="learningRate">η</param>
    public static StepResult Run(Model model, IOptimizer optimizer, Recipe recipe, Batch batch, long step, double learningRate)
    {
        var device = model.Device;
        using var x = Tensor.From(device, batch.Images, new Shape(batch.Count, batch.Height, batch.Width, batch.Channels));
        using var target = new Target(device, batch);
        using var tape = Tape.Train(step, recipe.Seed, recipe.SaveMemory);
        var logits = model.Forward(x);
        var loss = target.Loss(logits, recipe.LabelSmoothing);
        double value = loss.Item();
        if (!double.IsFinite(value)) return new StepResult(value, 0);
        int correct = Evaluator.CountCorrect(logits.ToArray(), batch.Share < 0.5 ? batch.OtherLabels! : batch.Labels, 1);
        tape.Backward(loss);
        foreach (var form in model.Forms) (form.Method as IEvolving)?.AfterBackward(model);
        if (recipe.ClipNorm > 0) GradientClipping.ClipNorm(optimizer.Groups.SelectMany(g => g.Parameters).Select(p => p.Parameter), recipe.ClipNorm);
        optimizer.Step(learningRate);
        optimizer.ZeroGrad();
        return new StepResult(value, correct);
    }

    /// <summary>What the scores of a batch should be: one label a picture, or two with their shares.</summary>
    internal sealed class Target(Device device, Batch batch) : IDisposable
    {
        private readonly Tensor _labels = Tensor.From(device, batch.Labels, new Shape(batch.Count));
        private readonly Tensor? _others = batch.OtherLabels == null ? null : Tensor.From(device, batch.OtherLabels, new Shape(batch.Count));
        private readonly Tensor _share = Tensor.Full(device, new Shape(1), batch.Share), _rest = Tensor.Full(device, new Shape(1), 1 - batch.Share);

        /// <summary>Mean cross-entropy; of mixed pictures with both labels, each by its share: what it is with the mixed one-hot targets.</summary>
        public Tensor Loss(Tensor logits, double smoothing)
        {
            var loss = logits.CrossEntropy(_labels, smoothing);
            return _others == null ? loss : loss.Multiply(_share).Add(logits.CrossEntropy(_others, smoothing).Multiply(_rest));
        }

        public void Dispose()
        {
            _labels.Dispose();
            _others?.Dispose();
            _share.Dispose();
            _rest.Dispose();
        }
    }
}
